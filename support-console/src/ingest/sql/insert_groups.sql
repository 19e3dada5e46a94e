INSERT INTO groups (key, queue, kind, death, pattern, example, first_seen, last_seen)
SELECT u.key, u.queue, u.kind, u.death, u.pattern, u.example, u.died_at, u.died_at
FROM (
    SELECT unnest($1::uuid[]) AS key, unnest($2::text[]) AS queue, unnest($3::text[]) AS kind,
           unnest($4::text[]) AS death, unnest($5::text[]) AS pattern, unnest($6::text[]) AS example,
           unnest($7::timestamptz[]) AS died_at
) AS u
ON CONFLICT DO NOTHING
