INSERT INTO notifications (channel, event_id, order_id, user_id, kind, state)
SELECT $1, u.event_id, u.order_id, u.user_id, u.kind, 'pending'
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) AS u (event_id, order_id, user_id, kind)
