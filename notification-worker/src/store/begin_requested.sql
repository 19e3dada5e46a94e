INSERT INTO requested AS r (id, user_id, channel, hash, state, claimed_until)
VALUES ($1, $2, $3, $4, 'pending', clock_timestamp() + $5::float8 * interval '1 second')
ON CONFLICT (id) DO UPDATE
SET state = 'pending', claimed_until = excluded.claimed_until
WHERE r.hash = excluded.hash AND r.state <> 'sent' AND r.claimed_until < clock_timestamp()
RETURNING id
