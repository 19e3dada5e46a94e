INSERT INTO on_trial (retry_id, until)
SELECT retry_id, now() + make_interval(secs => $2) FROM unnest($1::uuid[]) AS retry_id
