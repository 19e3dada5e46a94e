UPDATE reservations AS r
SET state = u.state, lines = u.lines::jsonb, shortages = u.shortages::jsonb, updated_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (holder, state, lines, shortages)
WHERE r.holder = u.holder
