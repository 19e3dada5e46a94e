WITH changed AS (
    UPDATE accounts SET role = $2 WHERE name = $1 RETURNING name, role
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $3, 'cli', 'account.role', jsonb_build_object('account', name, 'role', role) FROM changed
