UPDATE wakeups AS w
SET due = u.due, looks = w.looks + 1,
    orders = ARRAY(SELECT one::uuid FROM json_array_elements_text(u.orders::json) AS one)
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS u (id, due, orders)
WHERE w.id = u.id
