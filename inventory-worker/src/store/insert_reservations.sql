INSERT INTO reservations (holder, state, lines)
SELECT u.holder, u.state, u.lines::json
FROM unnest($1::text[], $2::text[], $3::text[]) AS u (holder, state, lines)
ON CONFLICT DO NOTHING
RETURNING holder
