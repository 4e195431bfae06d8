-- Events with a line at the door. Who stands where is in the tickets of those who stand there; that there is a line is
-- what a restarted process must know, to wait for them before it calls anybody.
CREATE TABLE admission_lines (
    event_id TEXT NOT NULL PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    -- When it was last seen standing, to the minute.
    seen_at BIGINT NOT NULL
);
