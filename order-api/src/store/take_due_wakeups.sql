SELECT id, orders, looks, now() AS now
FROM wakeups
WHERE due <= now()
ORDER BY due
LIMIT $1
FOR UPDATE SKIP LOCKED
