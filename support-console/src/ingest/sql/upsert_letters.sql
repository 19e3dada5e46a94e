-- A letter that is new, or has died again in the ordinary way. The newest death tells what there is to know of it; one that
-- was settled and dies after that waits for somebody again. One that is in retry stays so: there will be word of that.
INSERT INTO letters AS l (
    id, group_key, queue, exchange, routing_key, event_id, kind, subject, users, products, death, reason, service, attempts,
    readable, body_bytes, died_at, first_seen, last_seen, terms, state_since
)
SELECT
    u.id, u.group_key, u.queue, u.exchange, u.routing_key, u.event_id, u.kind, u.subject,
    string_to_array(u.users, E'\x1f'), string_to_array(u.products, E'\x1f'), u.death, u.reason, u.service, u.attempts,
    u.readable, u.body_bytes, u.died_at, now(), now(), string_to_array(u.terms, E'\x1f'), now()
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS group_key, unnest($3::text[]) AS queue,
           unnest($4::text[]) AS exchange, unnest($5::text[]) AS routing_key, unnest($6::uuid[]) AS event_id,
           unnest($7::text[]) AS kind, unnest($8::text[]) AS subject, unnest($9::text[]) AS users,
           unnest($10::text[]) AS products, unnest($11::text[]) AS death, unnest($12::text[]) AS reason,
           unnest($13::text[]) AS service, unnest($14::int[]) AS attempts, unnest($15::bool[]) AS readable,
           unnest($16::int[]) AS body_bytes, unnest($17::timestamptz[]) AS died_at, unnest($18::text[]) AS terms
) AS u
ON CONFLICT (id) DO UPDATE SET
    group_key = excluded.group_key, event_id = excluded.event_id, kind = excluded.kind, subject = excluded.subject,
    users = excluded.users, products = excluded.products, death = excluded.death, reason = excluded.reason,
    service = excluded.service, attempts = greatest(l.attempts, excluded.attempts), readable = excluded.readable,
    body_bytes = excluded.body_bytes, died_at = excluded.died_at, last_seen = now(), terms = excluded.terms,
    state = CASE l.state WHEN 'retrying' THEN 'retrying' ELSE 'failed' END,
    state_since = CASE WHEN l.state IN ('done', 'discarded') THEN now() ELSE l.state_since END,
    note = '', version = l.version + 1
WHERE excluded.died_at >= l.died_at
