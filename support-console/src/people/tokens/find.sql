SELECT name, role, used_at IS NULL OR used_at < now() - interval '1 minute'
FROM tokens JOIN accounts ON name = account
WHERE token_hash = $1 AND NOT disabled AND expires_at > now()
