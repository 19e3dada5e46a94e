INSERT INTO groups (key, queue, kind, death, pattern, example, first_seen, last_seen)
SELECT u.key, u.queue, u.kind, u.death, u.pattern, u.example, u.died_at, u.died_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    AS u (key, queue, kind, death, pattern, example, died_at)
ON CONFLICT DO NOTHING
