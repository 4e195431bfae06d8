
UPDATE facts SET kind = json_extract(data, '$.type');

CREATE TRIGGER facts_are_not_deleted BEFORE DELETE ON facts
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER facts_are_not_changed BEFORE UPDATE OF id, at, event_id, actor, kind, data ON facts
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER facts_are_sealed_once BEFORE UPDATE OF seq, hash ON facts WHEN OLD.seq IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER checkpoints_are_not_deleted BEFORE DELETE ON log_checkpoints
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER checkpoints_are_not_changed BEFORE UPDATE ON log_checkpoints
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
