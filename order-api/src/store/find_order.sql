SELECT o.id, o.user_id, o.status, o.version, o.amount, o.transaction_id, o.lines::text AS lines, o.created_at,
       h.version AS entry_version, h.status AS entry_status, h.at, h.cause, h.detail
FROM orders AS o
JOIN history AS h ON h.order_id = o.id
WHERE o.id = $1
ORDER BY h.version
