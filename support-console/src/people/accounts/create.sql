WITH made AS (
    INSERT INTO accounts (name, role, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name, role
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $4, 'cli', 'account.create', jsonb_build_object('account', name, 'role', role) FROM made
