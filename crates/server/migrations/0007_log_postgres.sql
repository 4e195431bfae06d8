
UPDATE facts SET kind = data::json ->> 'type';

CREATE FUNCTION log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
CREATE TRIGGER facts_are_not_deleted BEFORE DELETE ON facts
    FOR EACH ROW EXECUTE FUNCTION log_is_append_only();
CREATE TRIGGER facts_are_not_emptied BEFORE TRUNCATE ON facts
    FOR EACH STATEMENT EXECUTE FUNCTION log_is_append_only();
CREATE TRIGGER facts_are_not_changed BEFORE UPDATE OF id, at, event_id, actor, kind, data ON facts
    FOR EACH ROW EXECUTE FUNCTION log_is_append_only();
CREATE TRIGGER facts_are_sealed_once BEFORE UPDATE OF seq, hash ON facts
    FOR EACH ROW WHEN (OLD.seq IS NOT NULL) EXECUTE FUNCTION log_is_append_only();
CREATE TRIGGER checkpoints_are_not_touched BEFORE UPDATE OR DELETE ON log_checkpoints
    FOR EACH ROW EXECUTE FUNCTION log_is_append_only();
CREATE TRIGGER checkpoints_are_not_emptied BEFORE TRUNCATE ON log_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION log_is_append_only();
