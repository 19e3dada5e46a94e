-- One more attempt under each of these keys; of those of which there are too many, when they begin to count anew.
WITH counted AS (
    INSERT INTO login_attempts AS known (key, attempts)
    SELECT unnest($1::bytea[]) AS key, 1
    -- Always in one order, so that two attempts do not wait for each other.
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        attempts = CASE WHEN known.since < now() - make_interval(mins => $3) THEN 1 ELSE known.attempts + 1 END,
        since = CASE WHEN known.since < now() - make_interval(mins => $3) THEN now() ELSE known.since END
    RETURNING key, attempts, since
)
SELECT greatest(1, extract(epoch FROM since + make_interval(mins => $3) - now())::integer)
FROM counted JOIN (SELECT unnest($1::bytea[]) AS key, unnest($2::integer[]) AS attempts) AS bound USING (key)
WHERE counted.attempts > bound.attempts
