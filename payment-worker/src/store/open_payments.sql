INSERT INTO payments (id, holder, attempt, state, amount, attempts_left, method, token, leased_until)
SELECT u.id, u.holder, u.attempt, 'open', u.amount, u.attempts_left, u.method, u.token,
       now() + $8::bigint * interval '1 millisecond'
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::integer[], $6::text[], $7::text[])
    AS u (id, holder, attempt, amount, attempts_left, method, token)
