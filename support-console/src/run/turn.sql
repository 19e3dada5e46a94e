-- Whoever goes on with a run that has stopped has seen what failed, and takes it on themselves.
UPDATE runs SET
    state = $2, why = CASE $2 WHEN 'running' THEN '' ELSE $4 END, changed_at = now(),
    finished_at = CASE $2 WHEN 'cancelled' THEN now() END,
    step_failed = CASE WHEN $2 = 'running' THEN 0 ELSE step_failed END,
    leased_until = '-infinity'
WHERE id = $1 AND state = ANY ($3)
RETURNING id
