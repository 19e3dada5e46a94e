UPDATE payments AS p
SET refund = u.refund, reason = coalesce(u.reason, p.reason), refused_event = u.refused_event, updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) AS u (id, refund, refused_event, reason)
WHERE p.id = u.id AND p.state = 'captured' AND p.refund IS DISTINCT FROM 'refunded'
