-- The outbox forgets what the broker has confirmed. What has come back is not in retry any more.
SELECT t.retry_id FROM on_trial AS t
WHERE t.until < now() AND NOT EXISTS (SELECT FROM outbox AS o WHERE o.id = t.retry_id)
ORDER BY t.until LIMIT 500
