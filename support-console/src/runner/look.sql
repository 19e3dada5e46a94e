-- Where a run of ours stands; to look is to renew the lease.
UPDATE runs SET leased_until = now() + make_interval(secs => $3)
WHERE id = $1 AND owner = $2 AND state = 'running'
RETURNING action, steps, tolerate, step, step_sent, step_settled, step_failed, position, total, rate, note
