UPDATE runs SET
    state = $4, why = $5, step = CASE $4 WHEN 'running' THEN step + 1 ELSE step END,
    step_sent = CASE $4 WHEN 'running' THEN 0 ELSE step_sent END,
    step_settled = CASE $4 WHEN 'running' THEN 0 ELSE step_settled END,
    step_failed = CASE $4 WHEN 'running' THEN 0 ELSE step_failed END,
    finished_at = CASE $4 WHEN 'finished' THEN now() END, changed_at = now()
WHERE id = $1 AND owner = $2 AND state = 'running' AND step = $3
