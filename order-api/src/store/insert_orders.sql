INSERT INTO orders (id, user_id, status, version, amount, lines)
SELECT u.id, u.user_id, 'pending', 1, u.amount, u.lines::json
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS u (id, user_id, amount, lines)
