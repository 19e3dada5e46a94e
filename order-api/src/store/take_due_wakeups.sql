SELECT id, orders, looks
FROM wakeups
WHERE due <= $2
ORDER BY due
LIMIT $1
FOR UPDATE SKIP LOCKED
