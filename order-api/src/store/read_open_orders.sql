SELECT id, user_id, status, version, amount, transaction_id, deadline, declines, reminded, created_at,
       CASE WHEN status = 'pending' THEN lines::text END AS lines
FROM orders
WHERE id = ANY ($1) AND status IN ('pending', 'awaiting_payment', 'refunding')
ORDER BY id
