-- Every order, and what payments say of it: captured, given back, how often captured and declined, and whether a refund
-- was refused for good; what has become of its stock; and where its customer is told.
SELECT 'ORD' || upper(replace(o.id::text, '-', '')), o.status, o.amount,
       coalesce(sum(p.amount) FILTER (WHERE p.state = 'captured'), 0)::bigint,
       coalesce(sum(p.amount) FILTER (WHERE p.refund = 'refunded'), 0)::bigint,
       count(*) FILTER (WHERE p.state = 'captured'),
       count(*) FILTER (WHERE p.state = 'declined'),
       coalesce(bool_or(p.refund = 'refused'), false),
       (SELECT r.state FROM inventory.reservations r
        WHERE r.holder = 'order:ORD' || upper(replace(o.id::text, '-', ''))),
       coalesce((SELECT c.email FROM notifications.contacts AS c WHERE c.user_id = o.user_id), '')
FROM orders.orders AS o
LEFT JOIN payments.payments AS p ON p.holder = 'order:ORD' || upper(replace(o.id::text, '-', ''))
GROUP BY o.id
