-- What was sent was sent, whoever has claimed it meanwhile.
UPDATE notifications AS n
SET state = u.state, channel = u.channel, reason = u.reason, claim = NULL, claimed_until = NULL,
    sent_at = CASE WHEN u.state = 'sent' THEN clock_timestamp() END
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[])
     AS u (order_id, event_id, claim, state, channel, reason)
WHERE n.order_id = u.order_id AND n.event_id = u.event_id AND n.state = 'pending'
  AND (n.claim = u.claim OR u.state = 'sent')
