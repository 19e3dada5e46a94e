-- The next letters of a run, locked in the order in which everybody locks them.
SELECT u.position, l.id, u.version, u.retry_id, l.version, l.state, l.readable, l.queue, l.exchange, l.routing_key, l.kind, l.body_bytes
FROM (SELECT * FROM run_letters WHERE run = $1 AND position >= $2 ORDER BY position LIMIT $3) AS u
JOIN letters AS l ON l.id = u.letter
ORDER BY l.id
FOR UPDATE OF l
