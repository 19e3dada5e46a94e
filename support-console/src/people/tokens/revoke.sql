WITH gone AS (
    DELETE FROM tokens WHERE id = $1 AND account = $2 RETURNING id, account, label
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $3, $4, 'token.revoke', jsonb_build_object('account', account, 'token', id, 'label', label)
FROM gone
