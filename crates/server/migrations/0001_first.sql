-- One text for SQLite and PostgreSQL: ids are TEXT, moments and durations BIGINT milliseconds, secrets BYTEA
-- (hashes of 32 bytes, or sealed by the vault). Ids begin with their creation time, so their order is the order of age.

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE user_sessions (
    cookie_hash BYTEA NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    token_hash BYTEA NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    latency TEXT NOT NULL,
    starts_at BIGINT,
    dvr_window_ms BIGINT NOT NULL,
    reconnect_window_ms BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE streams (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE REFERENCES events (id) ON DELETE CASCADE,
    next_msn BIGINT NOT NULL,
    next_discontinuity BIGINT NOT NULL,
    next_init BIGINT NOT NULL
);

CREATE TABLE stream_keys (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    key_hash BYTEA NOT NULL UNIQUE,
    key_sealed BYTEA NOT NULL,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT
);
CREATE INDEX stream_keys_by_event ON stream_keys (event_id, id);

CREATE TABLE broadcasts (
    id TEXT NOT NULL PRIMARY KEY,
    stream_id TEXT NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    -- What a restarted process must know to go on: the wall time of output time zero, and the parts' target duration.
    origin_ms BIGINT,
    part_target_ms BIGINT,
    away_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX broadcasts_by_stream ON broadcasts (stream_id, id);

CREATE TABLE segments (
    stream_id TEXT NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    msn BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    discontinuity BOOLEAN NOT NULL,
    -- Discontinuities on this stream up to and including this segment.
    discontinuity_sequence BIGINT NOT NULL,
    gap BOOLEAN NOT NULL,
    init_id BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (stream_id, kind, msn)
);

CREATE TABLE invitations (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- The name in lower case, folded by the server: the two databases fold letters beyond ASCII differently.
    name_folded TEXT NOT NULL,
    code_hash BYTEA NOT NULL UNIQUE,
    code_sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    redeemed_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX invitations_by_event ON invitations (event_id, id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    cookie_hash BYTEA NOT NULL UNIQUE,
    device TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT
);
-- The promise "one active session per code", kept by the database itself.
CREATE UNIQUE INDEX sessions_one_active ON sessions (invitation_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_event ON sessions (event_id, id);

CREATE TABLE facts (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    event_id TEXT,
    actor TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX facts_by_event ON facts (event_id, id);
