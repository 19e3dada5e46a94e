WITH u AS (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS holder, unnest($3::text[]) AS user_id,
           unnest($4::bigint[]) AS amount, unnest($5::timestamptz[]) AS deadline
), noted AS (
    INSERT INTO dues (holder, user_id, amount, deadline) SELECT holder, user_id, amount, deadline FROM u
)
INSERT INTO payments (id, holder, attempt, state, amount, attempts_left, token, leased_until)
SELECT u.id, u.holder, 1, 'open', u.amount, $6::integer, m.token, now() + $7::bigint * interval '1 millisecond'
FROM u JOIN methods AS m ON m.user_id = u.user_id
WHERE u.deadline > now()
RETURNING id, token
