-- Events by invitation: teams and roles, invitees and how they are reached, messages, takeovers, the sealed log.

-- People who share events ------------------------------------------------------------------------------------------

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE team_members (
    team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON team_members (user_id);

-- The first account of an installation owned it under another name.
UPDATE users SET role = 'owner' WHERE role = 'admin';

-- Names of scopes with a space between; a token of an older version could do everything that its person could.
ALTER TABLE api_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read organise moderate broadcast people administer';

-- Events -----------------------------------------------------------------------------------------------------------

-- Without a team, an event is everybody's who has an account.
ALTER TABLE events ADD COLUMN team_id TEXT REFERENCES teams (id);
-- JSON; a field that is absent has its default.
ALTER TABLE events ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
