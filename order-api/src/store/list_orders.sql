-- Those of the orders looked at that are wanted. There is always a row: how far it was looked is known even where nothing
-- was found.
SELECT ahead.looked_at, ahead.last, wanted.*
FROM (SELECT count(*) AS looked_at, (array_agg(id ORDER BY id))[1] AS last FROM looked_at) AS ahead
LEFT JOIN LATERAL (
    SELECT *
    FROM looked_at
    WHERE ($4::text IS NULL OR status = $4) AND ($5::timestamptz IS NULL OR created_at >= $5)
    ORDER BY id DESC
    LIMIT $6
) AS wanted ON true
ORDER BY wanted.id DESC
