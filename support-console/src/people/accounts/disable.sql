WITH changed AS (
    UPDATE accounts SET disabled = true WHERE name = $1 RETURNING name
), ended AS (
    DELETE FROM sessions WHERE account = $1
), revoked AS (
    DELETE FROM tokens WHERE account = $1
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $2, 'cli', 'account.disable', jsonb_build_object('account', name) FROM changed
