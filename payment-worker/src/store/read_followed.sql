SELECT p.id, p.holder, p.attempt, p.state, p.amount, p.attempts_left, p.token, p.gateway_reference, p.reason, p.refund,
       d.off, coalesce(d.deadline <= clock_timestamp(), false) AS late
FROM payments AS p LEFT JOIN dues AS d ON d.holder = p.holder
WHERE p.id = ANY ($1)
