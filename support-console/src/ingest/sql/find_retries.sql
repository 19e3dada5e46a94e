-- Whose retries these were.
SELECT r.retry_id, l.id, l.queue, l.kind
FROM unnest($1::uuid[]) AS u (retry_id)
JOIN run_letters AS r ON r.retry_id = u.retry_id
JOIN letters AS l ON l.id = r.letter
