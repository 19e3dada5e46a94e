WITH changed AS (
    UPDATE accounts SET disabled = false WHERE name = $1 RETURNING name
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $2, 'cli', 'account.enable', jsonb_build_object('account', name) FROM changed
