SELECT id, user_id, status, version, amount, transaction_id
FROM orders
WHERE id = ANY ($1)
