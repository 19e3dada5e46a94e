-- Whoever waits has no outcome yet, and so its timeline is not asked for.
SELECT id, user_id, status, version, amount, transaction_id, deadline, declines, reminded, created_at,
       CASE WHEN status = 'pending' THEN lines::text END AS lines,
       CASE WHEN status = 'refunding' THEN ARRAY(SELECT h.version FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) END AS versions,
       CASE WHEN status = 'refunding' THEN ARRAY(SELECT h.status FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) END AS statuses,
       CASE WHEN status = 'refunding' THEN ARRAY(SELECT coalesce(h.detail, '') FROM history AS h WHERE h.order_id = o.id ORDER BY h.version) END AS details
FROM orders AS o
WHERE id = ANY ($1) AND status IN ('pending', 'awaiting_payment', 'refunding')
ORDER BY id
