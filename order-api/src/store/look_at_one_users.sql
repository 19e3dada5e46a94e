WITH looked_at AS MATERIALIZED (
    SELECT id, user_id, status, version, amount, transaction_id, deadline, declines, reminded, created_at
    FROM orders
    WHERE user_id = $7 AND id < $1 AND id >= $2
    ORDER BY id DESC
    LIMIT $3
)
