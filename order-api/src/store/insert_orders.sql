INSERT INTO orders (id, user_id, status, version, amount, lines, idempotency_key, request_hash, deadline)
SELECT u.id, u.user_id, 'pending', 1, u.amount, u.lines::json, u.idempotency_key, u.request_hash,
       now() + $7::bigint * interval '1 millisecond'
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
    AS u (id, user_id, amount, lines, idempotency_key, request_hash)
