SELECT r.id, r.action, r.started_by, r.started_at, u.state, u.why, u.retry_id
FROM run_letters AS u JOIN runs AS r ON r.id = u.run
WHERE u.letter = $1 AND r.started_at IS NOT NULL
ORDER BY r.started_at DESC LIMIT 100
