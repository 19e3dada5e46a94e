-- Every order, and what payments say of it: captured, given back, how often captured and declined, and whether a refund
-- was refused for good; what has become of its stock; where its customer is told; and whether what it got is what was
-- ordered.
SELECT 'ORD' || upper(replace(o.id::text, '-', '')), o.status, o.amount,
       coalesce(sum(p.amount) FILTER (WHERE p.state = 'captured'), 0)::bigint,
       coalesce(sum(p.amount) FILTER (WHERE p.refund = 'refunded'), 0)::bigint,
       count(*) FILTER (WHERE p.state = 'captured'),
       count(*) FILTER (WHERE p.state = 'declined'),
       coalesce(bool_or(p.refund = 'refused'), false),
       (SELECT r.state FROM inventory.reservations r
        WHERE r.holder = 'order:ORD' || upper(replace(o.id::text, '-', ''))),
       coalesce((SELECT c.email FROM notifications.contacts AS c WHERE c.user_id = o.user_id), ''),
       NOT EXISTS (
           SELECT FROM inventory.reservations AS r
           WHERE r.holder = 'order:ORD' || upper(replace(o.id::text, '-', '')) AND r.state IN ('confirmed', 'restocked')
             AND (SELECT jsonb_object_agg(line->>'productId', line->'quantity') FROM json_array_elements(r.lines) AS line)
                 IS DISTINCT FROM
                 (SELECT jsonb_object_agg(product, pieces)
                  FROM (SELECT line->>'productId' AS product, sum((line->>'quantity')::bigint) AS pieces
                        FROM json_array_elements(o.lines) AS line GROUP BY 1) AS ordered))
FROM orders.orders AS o
LEFT JOIN payments.payments AS p ON p.holder = 'order:ORD' || upper(replace(o.id::text, '-', ''))
GROUP BY o.id
