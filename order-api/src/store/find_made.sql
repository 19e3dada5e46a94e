SELECT o.user_id, o.idempotency_key, o.request_hash, o.id
FROM unnest($1::text[], $2::text[]) AS u (user_id, idempotency_key)
JOIN orders AS o
    ON o.user_id = u.user_id AND o.idempotency_key = u.idempotency_key AND o.idempotency_key IS NOT NULL
