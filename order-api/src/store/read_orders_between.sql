SELECT id, user_id, status, version, amount, transaction_id, deadline, declines, reminded, created_at,
       CASE WHEN status = 'pending' THEN lines::text END AS lines,
       ARRAY(SELECT h.version FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) AS versions,
       ARRAY(SELECT h.status FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) AS statuses,
       ARRAY(SELECT coalesce(h.detail, '') FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) AS details
FROM orders AS o
WHERE id > $1 AND id <= $2
ORDER BY id
LIMIT $3
