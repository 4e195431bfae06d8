-- How many watched an event, over time.

-- The most who watched at once in the ten seconds up to `at`. While nobody watches nothing is written but the one zero
-- that says so, so an hour between two rows of which the first is zero is an hour without anybody.
CREATE TABLE concurrency (
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    watching BIGINT NOT NULL,
    PRIMARY KEY (event_id, at)
);
