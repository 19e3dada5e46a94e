-- What a crash or an outage left behind, oldest first. A lease instead of a cursor: rows that committed late are
-- not skipped, and two sweepers never take the same row. The rows are found once, as an array: joined with them, the
-- search could be run again for each row in the table, and was, when the planner took the table for empty.
UPDATE outbox
SET locked_until = now() + interval '30 seconds'
WHERE id = ANY (ARRAY(
    SELECT id FROM outbox
    WHERE locked_until < now()
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
RETURNING id, exchange, routing_key, kind, body
