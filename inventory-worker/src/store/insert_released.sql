INSERT INTO reservations (holder, state, version)
SELECT u.holder, 'released', u.version
FROM unnest($1::text[], $2::int[]) AS u (holder, version)
ON CONFLICT DO NOTHING
RETURNING holder
