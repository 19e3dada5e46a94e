-- The content goes with the death that a letter tells of.
INSERT INTO contents (letter, body, headers)
SELECT u.letter, u.body, u.headers::jsonb
FROM unnest($1::uuid[], $2::timestamptz[], $3::bytea[], $4::text[]) AS u (letter, died_at, body, headers)
JOIN letters AS l ON l.id = u.letter AND l.died_at = u.died_at
ON CONFLICT (letter) DO UPDATE SET body = excluded.body, headers = excluded.headers
