INSERT INTO payments (id, holder, attempt, state, amount, attempts_left, method, token, leased_until)
SELECT u.id, u.holder, u.attempt, 'open', u.amount, u.attempts_left, u.method, u.token,
       now() + $8::bigint * interval '1 millisecond'
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS holder, unnest($3::integer[]) AS attempt,
           unnest($4::bigint[]) AS amount, unnest($5::integer[]) AS attempts_left, unnest($6::text[]) AS method,
           unnest($7::text[]) AS token
) AS u
