-- A success counts although somebody has given it up meanwhile, unless it has been sent again since: then that will be heard of.
UPDATE letters AS l SET state = 'done', state_since = now(), version = l.version + 1
FROM run_letters AS r
WHERE r.retry_id = ANY ($1) AND l.id = r.letter AND l.retry_id = r.retry_id AND l.state IN ('retrying', 'failed')
