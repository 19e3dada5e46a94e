-- Whose retries these were.
SELECT r.retry_id, l.id, l.queue, l.kind
FROM (SELECT unnest($1::uuid[]) AS retry_id) AS u
JOIN run_letters AS r ON r.retry_id = u.retry_id
JOIN letters AS l ON l.id = r.letter
