-- What the customer of one order was told of it, or was not, and where they can be told now.
SELECT n.event_id, n.user_id, n.kind, n.version, n.state, n.channel, n.reason, n.created_at, n.sent_at,
       c.email, c.phone, c.channel AS wanted
FROM notifications n
LEFT JOIN contacts c ON c.user_id = n.user_id
WHERE n.order_id = $1
ORDER BY n.version, n.created_at, n.event_id
