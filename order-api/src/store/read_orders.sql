SELECT id, user_id, status, version, amount, transaction_id, deadline, declines, reminded
FROM orders
WHERE id = ANY ($1)
