SELECT d.holder, d.user_id, d.amount, d.off, coalesce(d.deadline <= clock_timestamp(), false) AS late, m.token
FROM dues AS d LEFT JOIN methods AS m ON m.user_id = d.user_id
WHERE d.holder = ANY ($1)
ORDER BY d.holder
FOR UPDATE OF d
