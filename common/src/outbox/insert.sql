-- The lease covers the time in which the process that wrote the rows publishes them from memory.
INSERT INTO outbox (id, exchange, routing_key, kind, body, locked_until)
SELECT u.id, u.exchange, u.routing_key, u.kind, u.body, clock_timestamp() + interval '30 seconds'
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS exchange, unnest($3::text[]) AS routing_key,
           unnest($4::text[]) AS kind, unnest($5::bytea[]) AS body
) AS u
