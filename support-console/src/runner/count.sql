-- Only where nobody has turned or taken the run meanwhile.
UPDATE runs SET
    leased_until = now() + make_interval(secs => $3), position = $5, sent = sent + $6, skipped = skipped + $7,
    step_sent = step_sent + $6, step_settled = step_settled + $8, done = done + $8, changed_at = now()
WHERE id = $1 AND owner = $2 AND state = 'running' AND position = $4
RETURNING id
