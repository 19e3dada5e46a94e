UPDATE reservations AS r
SET state = 'rejected', lines = '[]', shortages = u.shortages::json, expires_at = NULL, updated_at = now()
FROM unnest($1::text[], $2::text[]) AS u (holder, shortages)
WHERE r.holder = u.holder
