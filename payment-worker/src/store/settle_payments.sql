UPDATE payments AS p
SET state = u.state, live = (p.live AND u.state = 'captured'), gateway_reference = u.gateway_reference,
    reason = u.reason, captured_at = CASE u.state WHEN 'captured' THEN now() END, updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS u (id, state, gateway_reference, reason)
WHERE p.id = u.id AND (p.state = 'open' OR (u.state = 'captured' AND p.state <> 'captured'))
