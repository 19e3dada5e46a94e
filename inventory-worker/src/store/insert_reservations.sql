INSERT INTO reservations (holder, state)
SELECT holder, 'requested' FROM unnest($1::text[]) AS holder
ON CONFLICT DO NOTHING
RETURNING holder
