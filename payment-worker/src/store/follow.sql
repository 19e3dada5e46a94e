INSERT INTO follow_ups (id, due_at, traceparent)
SELECT u.id, now() + u.after * interval '1 millisecond', u.traceparent
FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS u (id, after, traceparent)
ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at
