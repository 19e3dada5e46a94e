-- What was sent was sent, whoever has claimed it meanwhile.
UPDATE notifications AS n
SET state = u.state, channel = u.channel, reason = u.reason, claim = NULL, claimed_until = NULL,
    sent_at = CASE WHEN u.state = 'sent' THEN clock_timestamp() END
FROM (
    SELECT unnest($1::uuid[]) AS order_id, unnest($2::uuid[]) AS event_id, unnest($3::bigint[]) AS claim,
           unnest($4::text[]) AS state, unnest($5::text[]) AS channel, unnest($6::text[]) AS reason
) AS u
WHERE n.order_id = u.order_id AND n.event_id = u.event_id AND n.state = 'pending'
  AND (n.claim = u.claim OR u.state = 'sent')
