INSERT INTO follow_ups (id, due_at, traceparent)
SELECT u.id, now() + u.after * interval '1 millisecond', u.traceparent
FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS after, unnest($3::text[]) AS traceparent) AS u
ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at
