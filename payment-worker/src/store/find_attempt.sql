SELECT id, holder, attempt, state, amount, attempts_left, token, gateway_reference, reason, refund,
       refused_event
FROM payments
WHERE holder = $1 AND attempt = $2
