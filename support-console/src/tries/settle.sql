WITH known AS (
    SELECT run, position, state FROM run_letters
    WHERE retry_id = ANY ($1) AND (state = 'sent' OR state = CASE $2 WHEN 'done' THEN 'failed' ELSE 'sent' END)
    ORDER BY run, position
    FOR UPDATE
), settled AS (
    UPDATE run_letters AS r SET state = $2 FROM known WHERE r.run = known.run AND r.position = known.position
), counted AS (
    SELECT run, count(*) FILTER (WHERE state = 'sent')::int AS news, count(*) FILTER (WHERE state = 'failed')::int AS saved
    FROM known GROUP BY run
), ordered AS (
    SELECT runs.id, news, saved FROM runs JOIN counted ON counted.run = runs.id ORDER BY runs.id FOR UPDATE OF runs
)
UPDATE runs SET
    done = done + CASE $2 WHEN 'done' THEN news + saved ELSE 0 END,
    failed = failed + CASE $2 WHEN 'failed' THEN news ELSE -saved END,
    step_settled = step_settled + news,
    step_failed = step_failed + CASE $2 WHEN 'failed' THEN news ELSE 0 END,
    changed_at = now()
FROM ordered WHERE runs.id = ordered.id
