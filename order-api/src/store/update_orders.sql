UPDATE orders AS o
SET status = u.status, version = u.version, transaction_id = u.transaction_id, declines = u.declines, reminded = u.reminded
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS status, unnest($3::integer[]) AS version,
           unnest($4::uuid[]) AS transaction_id, unnest($5::integer[]) AS declines, unnest($6::boolean[]) AS reminded
) AS u
WHERE o.id = u.id
