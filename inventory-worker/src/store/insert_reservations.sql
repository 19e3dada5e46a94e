INSERT INTO reservations (holder, state, lines, expires_at)
SELECT u.holder, 'locked', u.lines::json, now() + $3::bigint * interval '1 millisecond'
FROM (SELECT unnest($1::text[]) AS holder, unnest($2::text[]) AS lines) AS u
