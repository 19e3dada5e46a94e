UPDATE reservations AS r
SET state = u.state, version = u.version, expires_at = NULL, updated_at = now()
FROM unnest($1::text[], $2::text[], $3::int[]) AS u (holder, state, version)
WHERE r.holder = u.holder
