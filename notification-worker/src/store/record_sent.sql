UPDATE notifications
SET state = 'sent', sent_at = clock_timestamp()
WHERE event_id = ANY ($2) AND channel = $1 AND state = 'pending'
