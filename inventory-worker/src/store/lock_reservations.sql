SELECT holder, state, lines::text, shortages::text, version, expires_at IS NOT NULL
FROM reservations
WHERE holder = ANY ($1)
ORDER BY holder
FOR UPDATE
