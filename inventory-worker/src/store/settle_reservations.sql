UPDATE reservations AS r
SET state = u.state, updated_at = now()
FROM unnest($1::text[], $2::text[]) AS u (holder, state)
WHERE r.holder = u.holder
