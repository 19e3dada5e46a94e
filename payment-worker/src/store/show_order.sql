-- All that is known of one order's money, the oldest attempt first. One row without an attempt where there was none yet,
-- or without a due where the attempts are of the time before there were dues.
SELECT d.user_id, d.amount AS owed, d.deadline, d.off,
       p.id, p.attempt, p.state, p.amount, p.attempts_left, p.method, p.gateway_reference, p.reason, p.refund,
       p.created_at, p.updated_at, p.refund_tried_at,
       coalesce(p.captured_at, CASE WHEN p.state = 'captured' AND p.refund IS NULL THEN p.updated_at END) AS captured_at,
       b.account AS paid_back_by, b.note AS paid_back_note, b.at AS paid_back_at,
       f.due_at, f.tries
FROM (SELECT $1::text AS holder) wanted
LEFT JOIN dues d ON d.holder = wanted.holder
LEFT JOIN payments p ON p.holder = wanted.holder
LEFT JOIN paid_back b ON b.id = p.id
LEFT JOIN follow_ups f ON f.id = p.id
WHERE d.holder IS NOT NULL OR p.id IS NOT NULL
ORDER BY p.attempt
