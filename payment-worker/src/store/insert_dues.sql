INSERT INTO dues (holder, user_id, amount, deadline)
SELECT holder, user_id, amount, deadline
FROM (
    SELECT unnest($1::text[]) AS holder, unnest($2::text[]) AS user_id, unnest($3::bigint[]) AS amount,
           unnest($4::timestamptz[]) AS deadline
) AS u
ON CONFLICT DO NOTHING
