INSERT INTO reservations (holder, state, version)
SELECT u.holder, 'released', u.version
FROM (SELECT unnest($1::text[]) AS holder, unnest($2::int[]) AS version) AS u
ON CONFLICT DO NOTHING
RETURNING holder
