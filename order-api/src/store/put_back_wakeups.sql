UPDATE wakeups AS w
SET due = u.due, looks = w.looks + 1,
    orders = ARRAY(SELECT one::uuid FROM json_array_elements_text(u.orders::json) AS one)
FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::timestamptz[]) AS due, unnest($3::text[]) AS orders) AS u
WHERE w.id = u.id
