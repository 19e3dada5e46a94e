-- Those that somebody has taken are somebody's, even if it is frozen.
SELECT due
FROM wakeups
WHERE due <= now()
ORDER BY due
LIMIT 1
FOR UPDATE SKIP LOCKED
