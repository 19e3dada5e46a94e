INSERT INTO payments (id, holder, attempt, state, amount)
SELECT u.id, u.holder, 1, 'open', u.amount
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS u (id, holder, amount)
