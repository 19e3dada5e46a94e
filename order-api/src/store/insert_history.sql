INSERT INTO history (order_id, version, status, cause, detail)
SELECT u.order_id, u.version, u.status, u.cause, u.detail
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[]) AS u (order_id, version, status, cause, detail)
