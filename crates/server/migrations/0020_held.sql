-- What a send may say now. Ten thousand that are held for want of money lie before the next one otherwise, and are read
-- again for each of them.
CREATE INDEX messages_to_say ON messages (send_id, state, id) WHERE state = 'queued' AND held IS NULL;
