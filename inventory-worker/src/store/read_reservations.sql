SELECT holder, state, lines::text, shortages::text
FROM reservations
WHERE holder = ANY ($1)
