INSERT INTO orders (id, user_id, status, version, amount, lines, idempotency_key, request_hash, deadline)
SELECT u.id, u.user_id, 'pending', 1, u.amount, u.lines::json, u.idempotency_key, u.request_hash,
       now() + $7::bigint * interval '1 millisecond'
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS user_id, unnest($3::bigint[]) AS amount,
           unnest($4::text[]) AS lines, unnest($5::text[]) AS idempotency_key, unnest($6::bytea[]) AS request_hash
) AS u
