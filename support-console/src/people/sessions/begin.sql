-- A session, unless its account was disabled meanwhile; and that it began.
WITH known AS (
    SELECT name FROM accounts WHERE name = $2 AND NOT disabled FOR SHARE
), begun AS (
    INSERT INTO sessions (token_hash, account, address) SELECT $1, name, $3::text FROM known RETURNING account
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), account, 'page', 'login', jsonb_build_object('address', $3::text) FROM begun
