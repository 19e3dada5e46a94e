-- What is too large to be compared is not even read: `diff::LARGEST`.
SELECT id, account, at, version,
       CASE WHEN is_small THEN body_before END,
       CASE WHEN is_small THEN body_after END
FROM (
    SELECT *, octet_length(body_before) <= $2 AND octet_length(body_after) <= $2 AS is_small
    FROM edits WHERE letter = $1
    ORDER BY at DESC
    LIMIT 20
) AS latest
ORDER BY at DESC
