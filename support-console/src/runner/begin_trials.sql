INSERT INTO on_trial (retry_id, until)
SELECT unnest($1::uuid[]), now() + make_interval(secs => $2)
