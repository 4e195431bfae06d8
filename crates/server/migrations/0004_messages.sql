-- Messages to invitees: what they say, what was ordered, each single one, and how fast and for how much they go out.

-- What an organiser wrote instead of the built-in text.
CREATE TABLE message_templates (
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- A BCP 47 tag in lower case.
    language TEXT NOT NULL,
    subject TEXT,
    body TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (event_id, channel, kind, language)
);

-- One order to send something to many.
CREATE TABLE sends (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- Zero, or higher for an order to say the same thing once more.
    round BIGINT NOT NULL,
    state TEXT NOT NULL,
    paused_because TEXT,
    -- JSON: to whom. Messages are made from it piece by piece, as far as the cursor.
    selection TEXT NOT NULL,
    cursor TEXT,
    expanded BOOLEAN NOT NULL,
    total BIGINT NOT NULL,
    -- Whom the texts name as who invites, and how links begin.
    organiser TEXT NOT NULL,
    base_url TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sends_by_event ON sends (event_id, id);
CREATE INDEX sends_unexpanded ON sends (id) WHERE NOT expanded;

CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    send_id TEXT REFERENCES sends (id) ON DELETE CASCADE,
    invitation_id TEXT REFERENCES invitations (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    round BIGINT NOT NULL,
    code_generation BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- Why it failed, or was not sent.
    failure TEXT,
    -- Why it is passed over while it is queued.
    held TEXT,
    -- JSON, sealed: to whom and what. Only as long as somebody needs it.
    payload_sealed BYTEA,
    -- What the gateway calls it.
    reference TEXT,
    -- Raised by everybody who takes it into their hands; whoever has an older number has lost it.
    claim BIGINT NOT NULL,
    -- While it is being sent: when somebody else may look what became of it.
    lease_until BIGINT,
    claimed_at BIGINT,
    attempts BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    segments BIGINT NOT NULL,
    cost_milli BIGINT NOT NULL,
    -- Of whose budget the cost was taken.
    cost_prefix TEXT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT
);
-- The promise "once to a person for one thing", kept by the database itself. Messages outside of a send are single acts.
CREATE UNIQUE INDEX messages_once ON messages (invitation_id, kind, code_generation, channel, round)
    WHERE send_id IS NOT NULL;
CREATE INDEX messages_by_event ON messages (event_id, id);
CREATE INDEX messages_by_send ON messages (send_id, state, id);
CREATE INDEX messages_by_invitation ON messages (invitation_id, id);
CREATE INDEX messages_single ON messages (event_id, id) WHERE send_id IS NULL AND state = 'queued';
CREATE INDEX messages_in_hand ON messages (lease_until) WHERE state = 'sending';

-- How fast an event sends and what it has spent. Whoever sends its next message holds its row.
CREATE TABLE message_pace (
    event_id TEXT NOT NULL PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    -- The rate: not before this moment.
    next_at BIGINT NOT NULL,
    -- When there is something to do; NULL when there is not.
    wake_at BIGINT,
    spent_milli BIGINT NOT NULL
);
CREATE INDEX message_pace_awake ON message_pace (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE message_spending (
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    prefix TEXT NOT NULL,
    spent_milli BIGINT NOT NULL,
    PRIMARY KEY (event_id, prefix)
);

-- Who asked for no more text messages: the keyed hash of their number.
CREATE TABLE opt_outs (
    phone_hash BYTEA NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
