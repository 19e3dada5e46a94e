UPDATE payments AS p
SET state = u.state, live = (p.live AND u.state = 'captured'), gateway_reference = u.gateway_reference,
    reason = u.reason, captured_at = CASE u.state WHEN 'captured' THEN now() END, updated_at = now()
FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS state, unnest($3::text[]) AS gateway_reference,
           unnest($4::text[]) AS reason
) AS u
WHERE p.id = u.id AND (p.state = 'open' OR (u.state = 'captured' AND p.state <> 'captured'))
