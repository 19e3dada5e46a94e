INSERT INTO notifications AS n (order_id, event_id, user_id, kind, version, state, claim, claimed_until)
SELECT u.order_id, u.event_id, u.user_id, u.kind, u.version,
       CASE WHEN u.is_overtaken THEN 'superseded' ELSE 'pending' END,
       CASE WHEN NOT u.is_overtaken THEN $7::bigint END,
       CASE WHEN NOT u.is_overtaken THEN clock_timestamp() + $8::float8 * interval '1 second' END
FROM (
    SELECT unnest($1::uuid[]) AS order_id, unnest($2::uuid[]) AS event_id, unnest($3::text[]) AS user_id,
           unnest($4::text[]) AS kind, unnest($5::int[]) AS version, unnest($6::bool[]) AS is_overtaken
) AS u
