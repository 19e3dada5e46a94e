UPDATE runs SET
    state = 'running', started_by = $3, started_at = now(), changed_at = now(), steps = $4, rate = $5, tolerate = $6, note = $7
WHERE id = $1 AND state = 'planned' AND action = $2
RETURNING scope, total
