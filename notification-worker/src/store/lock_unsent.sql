SELECT event_id
FROM notifications
WHERE event_id = ANY ($2) AND channel = $1 AND state = 'pending'
ORDER BY event_id
FOR UPDATE
