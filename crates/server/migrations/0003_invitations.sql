-- Invitees: where each invitation stands and how it came there, how they are reached, guests, tags, lists coming in.

-- What follows is about the present code: a new code begins anew.
ALTER TABLE invitations ADD COLUMN state TEXT NOT NULL DEFAULT 'created';
ALTER TABLE invitations ADD COLUMN state_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invitations ADD COLUMN code_generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE invitations ADD COLUMN uses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invitations ADD COLUMN max_uses BIGINT;
ALTER TABLE invitations ADD COLUMN expires_at BIGINT;

-- Guests that the invitee may bring, and whose guest somebody is.
ALTER TABLE invitations ADD COLUMN plus_ones BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invitations ADD COLUMN guest_of TEXT REFERENCES invitations (id) ON DELETE SET NULL;

ALTER TABLE invitations ADD COLUMN blocked_at BIGINT;
ALTER TABLE invitations ADD COLUMN erased_at BIGINT;

-- Telephone number, address and note: sealed by a key of this person alone, which the vault seals. Without it, they are
-- noise for ever.
ALTER TABLE invitations ADD COLUMN person_key BYTEA;
ALTER TABLE invitations ADD COLUMN contact_sealed BYTEA;
-- Keyed hashes, to find somebody by the whole number or address.
ALTER TABLE invitations ADD COLUMN phone_hash BYTEA;
ALTER TABLE invitations ADD COLUMN email_hash BYTEA;
-- A BCP 47 tag; empty for the event's.
ALTER TABLE invitations ADD COLUMN language TEXT NOT NULL DEFAULT '';

UPDATE invitations SET
    state = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN redeemed_at IS NOT NULL THEN 'redeemed' ELSE 'created' END,
    state_at = COALESCE(revoked_at, redeemed_at, created_at),
    uses = CASE WHEN redeemed_at IS NOT NULL THEN 1 ELSE 0 END;

CREATE UNIQUE INDEX invitations_by_phone ON invitations (event_id, phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX invitations_by_email ON invitations (event_id, email_hash) WHERE email_hash IS NOT NULL;
CREATE INDEX invitations_by_host ON invitations (guest_of) WHERE guest_of IS NOT NULL;
CREATE INDEX invitations_by_end ON invitations (expires_at) WHERE expires_at IS NOT NULL;
-- Everything a search looks at, so that it does not fetch a hundred thousand rows.
CREATE INDEX invitations_by_name ON invitations (event_id, id, name_folded, state);
DROP INDEX invitations_by_event;

-- How an invitation came to where it stands. That it was created is in its own row.
CREATE TABLE invitation_history (
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- A few words for a person, never how they are reached.
    detail TEXT NOT NULL,
    PRIMARY KEY (invitation_id, number)
);

CREATE TABLE invitation_tags (
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    PRIMARY KEY (event_id, tag, invitation_id)
);
CREATE INDEX invitation_tags_by_invitation ON invitation_tags (invitation_id);

CREATE TABLE imports (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    -- What the file was called.
    name TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    -- What the file is sealed with, itself sealed by the vault; taken away with the file.
    file_key BYTEA,
    -- JSON: encoding and separator, the first row, which column is what.
    shape TEXT NOT NULL,
    settings TEXT NOT NULL,
    -- Where to go on: bytes of text already done, and the line that comes next.
    position BIGINT NOT NULL DEFAULT 0,
    line BIGINT NOT NULL DEFAULT 1,
    rows_done BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    merged BIGINT NOT NULL DEFAULT 0,
    errors BIGINT NOT NULL DEFAULT 0,
    -- Why it failed, as a stable name.
    failure TEXT
);
CREATE INDEX imports_by_event ON imports (event_id, id);

-- What was wrong with single lines. What the line said is not kept: it may be somebody's number.
CREATE TABLE import_errors (
    import_id TEXT NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    field TEXT NOT NULL,
    problem TEXT NOT NULL,
    PRIMARY KEY (import_id, number)
);
