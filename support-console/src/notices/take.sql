-- Takes what is due, for as long as sending it may last; after that somebody else may try. What is due is looked for once.
WITH due AS MATERIALIZED (
    SELECT notice, way, target FROM notice_sends
    WHERE state = 'pending' AND due_at <= now()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE notice_sends s
SET tries = s.tries + 1, due_at = now() + make_interval(secs => $2)
FROM due, notices n
WHERE s.notice = due.notice AND s.way = due.way AND s.target = due.target AND n.id = due.notice
RETURNING s.notice, s.way, s.target, s.tries, n.groups::text, n.unnamed, n.created_at
