UPDATE letters SET
    state = 'failed', state_since = now(), version = version + 1
WHERE id = $1 AND state = 'retrying' AND state_since < now() - make_interval(secs => $2)
RETURNING retry_id
