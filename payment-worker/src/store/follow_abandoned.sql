-- Whoever began them may be at them until the lease is over.
INSERT INTO follow_ups (id, due_at, traceparent)
SELECT p.id, p.leased_until, u.traceparent
FROM unnest($1::uuid[], $2::text[]) AS u (id, traceparent) JOIN payments AS p ON p.id = u.id
WHERE p.state = 'open'
ON CONFLICT DO NOTHING
