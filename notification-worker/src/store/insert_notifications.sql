INSERT INTO notifications AS n (order_id, event_id, user_id, kind, version, state, claim, claimed_until)
SELECT u.order_id, u.event_id, u.user_id, u.kind, u.version,
       CASE WHEN u.is_overtaken THEN 'superseded' ELSE 'pending' END,
       CASE WHEN NOT u.is_overtaken THEN $7::bigint END,
       CASE WHEN NOT u.is_overtaken THEN clock_timestamp() + $8::float8 * interval '1 second' END
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::bool[])
     AS u (order_id, event_id, user_id, kind, version, is_overtaken)
