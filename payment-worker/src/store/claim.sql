WITH taken AS MATERIALIZED (
    SELECT id FROM follow_ups WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE follow_ups AS f
SET due_at = now() + $2::bigint * interval '1 millisecond', tries = f.tries + 1
FROM taken WHERE f.id = taken.id
RETURNING f.id, f.tries, f.traceparent
