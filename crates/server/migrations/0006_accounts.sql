-- Accounts: people with a second factor, passkeys and an identity provider; browsers that can be told apart.

ALTER TABLE users ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- A disabled account keeps its history and opens nothing.
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
-- Until then the password is one that somebody else has seen: it is good for choosing another.
ALTER TABLE users ADD COLUMN once_until BIGINT;
ALTER TABLE users ADD COLUMN totp_sealed BYTEA;
-- The 30 second step of the last one-time password that was accepted: none is accepted twice.
ALTER TABLE users ADD COLUMN totp_step BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN oidc_issuer TEXT;
ALTER TABLE users ADD COLUMN oidc_subject TEXT;
CREATE UNIQUE INDEX users_by_subject ON users (oidc_issuer, oidc_subject);

-- Everybody signs in once more: the old rows do not know which browser they are.
DROP TABLE user_sessions;
CREATE TABLE user_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    cookie_hash BYTEA NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- In words, as people tell browsers apart; never an address.
    device TEXT NOT NULL,
    method TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL,
    second_factor_at BIGINT
);
CREATE INDEX user_sessions_by_user ON user_sessions (user_id, id);

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash BYTEA NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE passkeys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id BYTEA NOT NULL UNIQUE,
    -- JSON: the public key, its counter and its properties. There is nothing secret in it.
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, id);

ALTER TABLE api_tokens ADD COLUMN expires_at BIGINT;
