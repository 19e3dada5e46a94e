-- What was heard of before is not heard of again: only the others come back.
INSERT INTO deaths (letter, id, died_at, death, reason, service, attempts, headers, retry_id)
SELECT u.letter, u.id, u.died_at, u.death, u.reason, u.service, u.attempts, u.headers::jsonb, u.retry_id
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::uuid[])
    AS u (letter, id, died_at, death, reason, service, attempts, headers, retry_id)
ON CONFLICT DO NOTHING
RETURNING letter, id
