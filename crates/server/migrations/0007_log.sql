-- The log of facts: sealed into a chain, handed on to webhooks, watched for incidents.
-- What only one of the two databases understands follows in 0007_log_sqlite.sql and 0007_log_postgres.sql.

-- The fact's type, for filters. A fact is never changed; what happens to it is noted beside it, once.
ALTER TABLE facts ADD COLUMN kind TEXT NOT NULL DEFAULT '';
-- Facts of an older version are handed on to nobody.
ALTER TABLE facts ADD COLUMN dispatched BOOLEAN NOT NULL DEFAULT TRUE;
-- The place in the chain and the hash of the entry, once it is sealed.
ALTER TABLE facts ADD COLUMN seq BIGINT;
ALTER TABLE facts ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX facts_by_seq ON facts (seq);
CREATE INDEX facts_unsealed ON facts (id) WHERE seq IS NULL;
CREATE INDEX facts_undispatched ON facts (id) WHERE dispatched = FALSE;
CREATE INDEX facts_by_kind ON facts (kind, id);
CREATE INDEX facts_by_actor ON facts (actor, id);

-- Where the chain ends, and who may go on with it: whoever holds the row.
CREATE TABLE log_heads (
    name TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    checkpoint_seq BIGINT NOT NULL,
    checkpoint_at BIGINT NOT NULL
);
INSERT INTO log_heads (name, seq, hash, checkpoint_seq, checkpoint_at)
    VALUES ('seal', 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, 0);
INSERT INTO log_heads (name, seq, hash, checkpoint_seq, checkpoint_at) VALUES ('dispatch', 0, '', 0, 0);

-- Signed: the chain up to this entry is the one that was here at that time. The line as it is exported.
CREATE TABLE log_checkpoints (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    line TEXT NOT NULL
);

CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    -- Names of facts and of groups of facts with a space between; empty for all.
    types TEXT NOT NULL,
    event_id TEXT REFERENCES events (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    disabled_because TEXT,
    secret_sealed BYTEA NOT NULL,
    -- The secret before, which still signs until then.
    previous_sealed BYTEA,
    previous_until BIGINT,
    -- Nothing is sent there until then: the receiver asked for it.
    paused_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- Absent for a test.
    fact_id TEXT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    -- Somebody is sending it until then; who died lets it go.
    leased_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (webhook_id, fact_id)
);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_old ON deliveries (created_at);

CREATE TABLE delivery_attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    status BIGINT,
    error TEXT,
    took_ms BIGINT NOT NULL
);
CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id, at);

CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT REFERENCES events (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    -- What the same thing happening again is told by: the event, and whom it is about.
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    session_id TEXT,
    invitation_id TEXT,
    at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    times BIGINT NOT NULL,
    acknowledged_at BIGINT
);
CREATE UNIQUE INDEX incidents_open ON incidents (kind, subject) WHERE acknowledged_at IS NULL;
CREATE INDEX incidents_by_event ON incidents (event_id, id);
