UPDATE run_letters AS r SET state = u.state, why = u.why
FROM (
    SELECT unnest($2::int[]) AS position, $3 AS state, '' AS why
    UNION ALL
    SELECT unnest($4::int[]), 'skipped', unnest($5::text[])
) AS u
WHERE r.run = $1 AND r.position = u.position
