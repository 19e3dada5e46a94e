UPDATE reservations AS r
SET state = u.state, version = u.version, expires_at = NULL, updated_at = now()
FROM (SELECT unnest($1::text[]) AS holder, unnest($2::text[]) AS state, unnest($3::int[]) AS version) AS u
WHERE r.holder = u.holder
