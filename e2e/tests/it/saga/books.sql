-- Every order, and what payments say of it: captured, given back, how often captured and declined, and whether a refund
-- was refused for good.
SELECT 'ORD' || upper(replace(o.id::text, '-', '')), o.status, o.amount,
       coalesce(sum(p.amount) FILTER (WHERE p.state = 'captured'), 0)::bigint,
       coalesce(sum(p.amount) FILTER (WHERE p.refund = 'refunded'), 0)::bigint,
       count(*) FILTER (WHERE p.state = 'captured'),
       count(*) FILTER (WHERE p.state = 'declined'),
       coalesce(bool_or(p.refund = 'refused'), false)
FROM orders.orders AS o
LEFT JOIN payments.payments AS p ON upper(p.holder) = 'ORDER:ORD' || upper(replace(o.id::text, '-', ''))
GROUP BY o.id
