UPDATE reservations AS r
SET state = 'rejected', lines = '[]', shortages = u.shortages::json, expires_at = NULL, updated_at = now()
FROM (SELECT unnest($1::text[]) AS holder, unnest($2::text[]) AS shortages) AS u
WHERE r.holder = u.holder
