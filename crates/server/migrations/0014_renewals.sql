-- Orders for new codes on more people than one transaction should hold.

CREATE TABLE renewals (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    -- Who ordered it, as the log names them.
    actor TEXT NOT NULL,
    -- The order that tells people; its messages are made step by step with the codes.
    send_id TEXT REFERENCES sends (id) ON DELETE SET NULL,
    -- What those who are watching read.
    words TEXT,
    -- People who were meant when it was ordered, and in how many steps they get their codes.
    total BIGINT NOT NULL,
    steps BIGINT NOT NULL,
    -- The step that comes next, and what came of those before it.
    step BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    sessions_ended BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
-- One at a time in an event, kept by the database itself: two would give everybody two codes.
CREATE UNIQUE INDEX renewals_one_running ON renewals (event_id) WHERE state = 'running';
CREATE INDEX renewals_by_event ON renewals (event_id, id);
CREATE INDEX renewals_by_send ON renewals (send_id) WHERE send_id IS NOT NULL;

-- Whose turn it is in a step that is still to come.
CREATE TABLE renewal_steps (
    renewal_id TEXT NOT NULL REFERENCES renewals (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    -- Ids of invitations, 16 bytes each.
    people BYTEA NOT NULL,
    PRIMARY KEY (renewal_id, number)
);
