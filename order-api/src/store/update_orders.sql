UPDATE orders AS o
SET status = u.status, version = u.version, transaction_id = u.transaction_id, declines = u.declines, reminded = u.reminded
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[], $5::integer[], $6::boolean[])
    AS u (id, status, version, transaction_id, declines, reminded)
WHERE o.id = u.id
