WITH made AS (
    INSERT INTO tokens (id, token_hash, account, label, expires_at)
    SELECT $1, $2, name, $4, now() + make_interval(days => $5) FROM accounts WHERE name = $3 AND NOT disabled
    RETURNING id, account, label
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), $6, $7, 'token.create',
    jsonb_build_object('account', account, 'token', id, 'label', label, 'days', $5::integer)
FROM made
