INSERT INTO reservations (holder, state, lines)
SELECT u.holder, $2, u.lines::json
FROM unnest($1::text[], $3::text[]) AS u (holder, lines)
