UPDATE orders AS o
SET status = u.status, version = u.version, transaction_id = u.transaction_id
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[]) AS u (id, status, version, transaction_id)
WHERE o.id = u.id
