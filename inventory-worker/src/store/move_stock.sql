-- Locks in sorted order before it writes, so that two batches cannot deadlock. That is done once the number is known: to
-- join what was locked with what is to move would compare each with each.
WITH locked AS (
    SELECT FROM products AS p WHERE p.product_id = ANY ($1) ORDER BY p.product_id FOR UPDATE
)
UPDATE products AS p
SET on_hand = p.on_hand + m.on_hand, reserved = p.reserved + m.reserved
FROM (
    SELECT unnest($1::text[]) AS product_id, unnest($2::bigint[]) AS on_hand, unnest($3::bigint[]) AS reserved
) AS m
WHERE p.product_id = m.product_id AND (SELECT count(*) FROM locked) > 0
