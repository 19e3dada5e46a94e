SELECT id, holder, attempt, state, amount, gateway_reference, reason
FROM payments
WHERE holder = ANY ($1)
ORDER BY holder, attempt
FOR UPDATE
