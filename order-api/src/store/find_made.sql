SELECT o.user_id, o.idempotency_key, o.request_hash, o.id
FROM (SELECT unnest($1::text[]) AS user_id, unnest($2::text[]) AS idempotency_key) AS u
JOIN orders AS o
    ON o.user_id = u.user_id AND o.idempotency_key = u.idempotency_key AND o.idempotency_key IS NOT NULL
