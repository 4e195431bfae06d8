-- What broadcasts are encrypted with: one key for each stretch of segments, sealed by the vault, kept as long as a segment
-- of its stretch can be played. A broadcast keeps the encryption that it began with.
CREATE TABLE content_keys (
    id TEXT NOT NULL PRIMARY KEY,
    stream_id TEXT NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    -- The media sequence number from which on it is used.
    first_msn BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX content_keys_by_stream ON content_keys (stream_id, first_msn);

-- The first_msn of its key; NULL in the clear.
ALTER TABLE segments ADD COLUMN key_msn BIGINT;
ALTER TABLE broadcasts ADD COLUMN encryption TEXT NOT NULL DEFAULT 'off';
ALTER TABLE broadcasts ADD COLUMN key_period_ms BIGINT NOT NULL DEFAULT 10000;
