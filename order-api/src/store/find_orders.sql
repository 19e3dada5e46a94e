-- The orders that are further than what is known of them, each with its whole timeline, as of one moment.
SELECT o.id, o.user_id, o.status, o.version, o.amount, o.transaction_id, o.deadline, o.declines, o.reminded, o.lines::text AS lines, o.created_at,
       h.version AS entry_version, h.status AS entry_status, h.at, h.cause, h.detail
FROM (
    -- The timeline's key answers this by itself; as long as nothing happens, no row is touched.
    SELECT DISTINCT step.order_id
    FROM (SELECT unnest($1::uuid[]) AS order_id, unnest($2::integer[]) AS version) AS known
    JOIN history AS step ON step.order_id = known.order_id AND step.version > known.version
) AS moved
JOIN orders AS o ON o.id = moved.order_id
JOIN history AS h ON h.order_id = o.id
ORDER BY o.id, h.version
