-- Who may use the console. A secret is kept as what it can be recognised by, never as itself: a password as its argon2
-- hash, the token of a session or of a program as its SHA-256.

CREATE TABLE accounts (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    role          text NOT NULL CHECK (role IN ('reader', 'operator', 'admin')),
    -- Without one, an account is used by programs only.
    password_hash text CHECK (password_hash LIKE '$argon2id$%'),
    disabled      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    account    text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    address    text NOT NULL,
    begun_at   timestamptz NOT NULL DEFAULT now(),
    -- Not every request is worth a write: to the minute.
    used_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON sessions (account);
CREATE INDEX ON sessions (used_at);

CREATE TABLE tokens (
    id         uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    account    text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    label      text NOT NULL CHECK (char_length(label) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON tokens (account);

-- How often somebody tried to log in lately, by account, by address, and by both. What was typed as a name may have been
-- a password, so only a hash of it is here.
CREATE TABLE login_attempts (
    key      bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    attempts integer NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON login_attempts (since);
