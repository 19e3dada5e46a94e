INSERT INTO signing_keys AS k (user_id, key_id, public_key)
SELECT $1, $2, $3
WHERE (SELECT count(*) FROM signing_keys WHERE user_id = $1 AND key_id <> $2) < $4
ON CONFLICT (user_id, key_id) DO UPDATE SET
    public_key = excluded.public_key,
    created_at = CASE WHEN k.public_key = excluded.public_key THEN k.created_at ELSE now() END
RETURNING created_at
