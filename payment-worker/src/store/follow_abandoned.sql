-- Whoever began them may be at them until the lease is over; what is in the table already stays as it is.
INSERT INTO follow_ups (id, due_at, traceparent)
SELECT p.id, greatest(p.leased_until, now()), u.traceparent
FROM (
    SELECT DISTINCT ON (each.id) each.id, each.traceparent
    FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS traceparent) AS each
) AS u
    JOIN payments AS p ON p.id = u.id
WHERE p.state = 'open' OR p.refund = 'due'
ON CONFLICT DO NOTHING
