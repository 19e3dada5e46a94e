-- What was done to it by itself, and what was done to all of a run that it was in.
SELECT id, at, account, by, action, letter, run, details::text FROM (
    SELECT * FROM audit WHERE letter = $1
    UNION ALL
    SELECT * FROM audit WHERE run = ANY (ARRAY(SELECT run FROM run_letters WHERE letter = $1)) AND letter IS NULL
) AS about
ORDER BY at DESC LIMIT 100
