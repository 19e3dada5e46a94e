-- In order, so that nobody waits in a circle.
SELECT FROM letters WHERE id = ANY ($1) ORDER BY id FOR UPDATE
