WITH changed AS (
    UPDATE accounts SET password_hash = $2 WHERE name = $1 RETURNING name
), ended AS (
    DELETE FROM sessions WHERE account = $1 AND token_hash IS DISTINCT FROM $4::bytea
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $3, CASE WHEN $4::bytea IS NULL THEN 'cli' ELSE 'page' END, 'account.password',
    jsonb_build_object('account', name)
FROM changed
