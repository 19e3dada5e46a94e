WITH ended AS (
    DELETE FROM sessions WHERE token_hash = $1 RETURNING account
)
INSERT INTO audit (id, account, by, action, details)
SELECT gen_random_uuid(), account, 'page', 'logout', '{}' FROM ended
