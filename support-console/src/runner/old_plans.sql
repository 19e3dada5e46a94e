SELECT id FROM runs
WHERE state IN ('planned', 'running') AND state = 'planned' AND planned_at < now() - make_interval(secs => $1)
LIMIT 20
