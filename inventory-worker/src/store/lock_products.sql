SELECT product_id, on_hand - reserved
FROM products
WHERE product_id = ANY ($1)
ORDER BY product_id
FOR UPDATE
