-- What was heard of before is not heard of again: only the others come back.
INSERT INTO deaths (letter, id, died_at, death, reason, service, attempts, headers, retry_id)
SELECT u.letter, u.id, u.died_at, u.death, u.reason, u.service, u.attempts, u.headers::jsonb, u.retry_id
FROM (
    SELECT unnest($1::uuid[]) AS letter, unnest($2::uuid[]) AS id, unnest($3::timestamptz[]) AS died_at,
           unnest($4::text[]) AS death, unnest($5::text[]) AS reason, unnest($6::text[]) AS service,
           unnest($7::int[]) AS attempts, unnest($8::text[]) AS headers, unnest($9::uuid[]) AS retry_id
) AS u
ON CONFLICT DO NOTHING
RETURNING letter, id
