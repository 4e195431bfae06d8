-- What a stream key is good for beside its time: from where, how often, what it may send; and where it was last used.
ALTER TABLE stream_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- Ranges of addresses as a JSON list; empty for all.
ALTER TABLE stream_keys ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
-- Limits as JSON, instead of the event's.
ALTER TABLE stream_keys ADD COLUMN limits TEXT;
-- Good for one broadcast, and which one that became.
ALTER TABLE stream_keys ADD COLUMN one_time BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE stream_keys ADD COLUMN broadcast_id TEXT;
-- Where its last broadcast came from, as coarsely as is of use: country, place in words, block of addresses.
ALTER TABLE stream_keys ADD COLUMN last_country TEXT;
ALTER TABLE stream_keys ADD COLUMN last_place TEXT;
ALTER TABLE stream_keys ADD COLUMN last_network TEXT;
