-- Locks in sorted order before it writes, so that two batches cannot deadlock.
WITH moves AS (
    SELECT u.product_id, u.on_hand, u.reserved
    FROM (
        SELECT unnest($1::text[]) AS product_id, unnest($2::bigint[]) AS on_hand, unnest($3::bigint[]) AS reserved
    ) AS u
),
locked AS (
    SELECT p.product_id FROM products AS p WHERE p.product_id = ANY ($1) ORDER BY p.product_id FOR UPDATE
)
UPDATE products AS p
SET on_hand = p.on_hand + m.on_hand, reserved = p.reserved + m.reserved
FROM locked AS l JOIN moves AS m ON m.product_id = l.product_id
WHERE p.product_id = l.product_id
