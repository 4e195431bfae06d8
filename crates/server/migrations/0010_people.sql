-- Finding people among a hundred thousand, and giving many of them new codes.

-- Everything that a filter looks at, so that it does not fetch the rows that it passes over.
DROP INDEX invitations_by_name;
CREATE INDEX invitations_by_name ON invitations (event_id, id, name_folded, state, language, blocked_at);

-- Only those that do not say yet that their time is up: they are looked for every second.
DROP INDEX invitations_by_end;
CREATE INDEX invitations_by_end ON invitations (expires_at)
    WHERE expires_at IS NOT NULL AND state NOT IN ('expired', 'revoked');
