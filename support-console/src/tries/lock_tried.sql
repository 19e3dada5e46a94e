-- The letters of these tries, in order.
SELECT FROM letters
WHERE id = ANY (ARRAY(SELECT letter FROM run_letters WHERE retry_id = ANY ($1)))
ORDER BY id FOR UPDATE
