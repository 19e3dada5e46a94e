INSERT INTO history (order_id, version, status, cause, detail)
SELECT u.order_id, u.version, u.status, u.cause, u.detail
FROM (
    SELECT unnest($1::uuid[]) AS order_id, unnest($2::integer[]) AS version, unnest($3::text[]) AS status,
           unnest($4::text[]) AS cause, unnest($5::text[]) AS detail
) AS u
