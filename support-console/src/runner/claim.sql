-- Runs that nobody drives, or whose driver has died.
UPDATE runs SET owner = $1, leased_until = now() + make_interval(secs => $2)
WHERE id = ANY (ARRAY(
    SELECT id FROM runs WHERE state IN ('planned', 'running') AND state = 'running' AND leased_until < now()
    ORDER BY id LIMIT 8 FOR UPDATE SKIP LOCKED
))
RETURNING id
