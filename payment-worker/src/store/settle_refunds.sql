-- What was captured before that was noted, and never asked back, was last changed when it was captured.
UPDATE payments AS p
SET refund = u.refund, reason = coalesce(u.reason, p.reason), refused_event = u.refused_event,
    captured_at = coalesce(p.captured_at, CASE WHEN p.refund IS NULL THEN p.updated_at END),
    refund_tried_at = now(), updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) AS u (id, refund, refused_event, reason)
WHERE p.id = u.id AND p.state = 'captured' AND p.refund IS DISTINCT FROM 'refunded'
