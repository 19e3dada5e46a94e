SELECT id, holder, attempt, state, amount, attempts_left, token, gateway_reference, reason, refund,
       refused_event
FROM payments
WHERE id = ANY ($1)
ORDER BY id
FOR UPDATE
