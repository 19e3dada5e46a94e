-- The content goes with the death that a letter tells of.
INSERT INTO contents (letter, body, headers)
SELECT u.letter, u.body, u.headers::jsonb
FROM (
    SELECT unnest($1::uuid[]) AS letter, unnest($2::timestamptz[]) AS died_at, unnest($3::bytea[]) AS body,
           unnest($4::text[]) AS headers
) AS u
JOIN letters AS l ON l.id = u.letter AND l.died_at = u.died_at
ON CONFLICT (letter) DO UPDATE SET body = excluded.body, headers = excluded.headers
