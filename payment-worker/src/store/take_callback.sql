-- One comes, two that are of no more use go: so there are never more than came in the time for which one is kept.
WITH forgotten AS (
    DELETE FROM callbacks WHERE signature IN (
        SELECT signature FROM callbacks WHERE forget_at < now() ORDER BY forget_at LIMIT 2 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO callbacks (signature, forget_at) VALUES ($1, now() + $2::bigint * interval '1 second')
ON CONFLICT DO NOTHING
RETURNING true
