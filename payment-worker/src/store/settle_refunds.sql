-- What was captured before that was noted, and never asked back, was last changed when it was captured.
UPDATE payments AS p
SET refund = u.refund, reason = coalesce(u.reason, p.reason), refused_event = u.refused_event,
    captured_at = coalesce(p.captured_at, CASE WHEN p.refund IS NULL THEN p.updated_at END),
    refund_tried_at = now(), updated_at = now()
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS refund, unnest($3::uuid[]) AS refused_event,
           unnest($4::text[]) AS reason
) AS u
WHERE p.id = u.id AND p.state = 'captured' AND p.refund IS DISTINCT FROM 'refunded'
