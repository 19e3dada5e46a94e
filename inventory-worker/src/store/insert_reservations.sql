INSERT INTO reservations (holder, state, lines, expires_at)
SELECT u.holder, 'locked', u.lines::json, now() + $3::bigint * interval '1 millisecond'
FROM unnest($1::text[], $2::text[]) AS u (holder, lines)
