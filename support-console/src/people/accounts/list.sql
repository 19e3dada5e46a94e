SELECT name, role, disabled, password_hash IS NOT NULL, created_at,
    greatest((SELECT max(used_at) FROM sessions WHERE account = name), (SELECT max(used_at) FROM tokens WHERE account = name)),
    (SELECT count(*) FROM sessions WHERE account = name), (SELECT count(*) FROM tokens WHERE account = name)
FROM accounts
ORDER BY name
