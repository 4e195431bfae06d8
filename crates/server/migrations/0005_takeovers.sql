-- A code changes hands: who asks to go on with it, and what became of that.
CREATE TABLE takeovers (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    -- Who is asked.
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- Who asks: the hash of their cookie, their browser in words, and where they are, never by an address.
    ticket_hash BYTEA NOT NULL,
    device TEXT NOT NULL,
    place TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    -- All timers are times: a process that starts goes on with them.
    answer_until BIGINT NOT NULL,
    claim_until BIGINT,
    -- When the contender was last heard of, to some seconds.
    heard_at BIGINT NOT NULL,
    closed_at BIGINT
);
-- The promise "one open question per code", kept by the database itself.
CREATE UNIQUE INDEX takeovers_one_open ON takeovers (invitation_id) WHERE closed_at IS NULL;
CREATE INDEX takeovers_by_invitation ON takeovers (invitation_id, asked_at);
CREATE INDEX takeovers_by_session ON takeovers (session_id);
CREATE INDEX takeovers_by_end ON takeovers (closed_at) WHERE closed_at IS NOT NULL;
