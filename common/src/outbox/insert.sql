-- The lease covers the time in which the process that wrote the rows publishes them from memory.
INSERT INTO outbox (id, exchange, routing_key, kind, body, locked_until)
SELECT u.id, u.exchange, u.routing_key, u.kind, u.body, clock_timestamp() + interval '30 seconds'
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[]) AS u (id, exchange, routing_key, kind, body)
