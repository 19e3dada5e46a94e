INSERT INTO dues (holder, user_id, amount, deadline)
SELECT holder, user_id, amount, deadline
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) AS u (holder, user_id, amount, deadline)
ON CONFLICT DO NOTHING
