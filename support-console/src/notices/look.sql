-- What there is to tell: groups that have more letters than were told of, and are new, or past a threshold, or no longer
-- quiet. What is told is noted by the same statement, so of two consoles that look at once only one gets it back: the other
-- waits for its row, and finds that there is nothing more to tell.
WITH seen AS (
    SELECT g.key, g.queue, g.kind, g.pattern, g.failed, g.failed + g.retrying + g.done + g.discarded AS total,
           coalesce((SELECT max(one) FROM unnest($1::bigint[]) AS one WHERE one <= g.failed), 0) AS passed,
           n.told_total, n.threshold, n.quiet_until
    FROM groups g
    LEFT JOIN notice_groups n ON n.key = g.key
), due AS (
    SELECT *, CASE WHEN told_total IS NULL THEN 'new' WHEN passed > threshold THEN 'grown' ELSE 'more' END AS what
    FROM seen
    WHERE failed > 0 AND total > coalesce(told_total, 0)
      AND (told_total IS NULL OR passed > threshold OR quiet_until <= now())
), settled AS (
    -- Back below a threshold: should it pass it again, that is news.
    UPDATE notice_groups n SET threshold = seen.passed
    FROM seen
    WHERE n.key = seen.key AND seen.passed < n.threshold AND n.key NOT IN (SELECT key FROM due)
), told AS (
    INSERT INTO notice_groups AS n (key, told_total, threshold, quiet_until)
    SELECT key, total, passed, now() + make_interval(secs => $2) FROM due ORDER BY key
    ON CONFLICT (key) DO UPDATE
    SET told_total = excluded.told_total, threshold = excluded.threshold, quiet_until = excluded.quiet_until
    WHERE n.told_total < excluded.told_total
    RETURNING n.key
)
SELECT due.what, due.key, due.queue, due.kind, due.pattern, due.failed, due.total,
       due.total - coalesce(due.told_total, 0) AS since, due.passed
FROM due JOIN told ON told.key = due.key
ORDER BY due.what = 'more', due.failed DESC, due.key
