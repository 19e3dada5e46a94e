UPDATE reservations AS r
SET lines = u.lines::json, expires_at = NULL, updated_at = now()
FROM (SELECT unnest($1::text[]) AS holder, unnest($2::text[]) AS lines) AS u
WHERE r.holder = u.holder
