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
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::int[], $15::bool[], $16::int[], $17::timestamptz[], $18::text[]
) AS u (
    id, group_key, queue, exchange, routing_key, event_id, kind, subject, users, products, death, reason, service, attempts,
    readable, body_bytes, died_at, terms
)
ON CONFLICT (id) DO UPDATE SET
    group_key = excluded.group_key, event_id = excluded.event_id, kind = excluded.kind, subject = excluded.subject,
    users = excluded.users, products = excluded.products, death = excluded.death, reason = excluded.reason,
    service = excluded.service, attempts = greatest(l.attempts, excluded.attempts), readable = excluded.readable,
    body_bytes = excluded.body_bytes, died_at = excluded.died_at, last_seen = now(), terms = excluded.terms,
    state = CASE l.state WHEN 'retrying' THEN 'retrying' ELSE 'failed' END,
    state_since = CASE WHEN l.state IN ('done', 'discarded') THEN now() ELSE l.state_since END,
    note = '', version = l.version + 1
WHERE excluded.died_at >= l.died_at
