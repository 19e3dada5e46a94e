UPDATE reservations AS r
SET lines = u.lines::json, expires_at = NULL, updated_at = now()
FROM unnest($1::text[], $2::text[]) AS u (holder, lines)
WHERE r.holder = u.holder
