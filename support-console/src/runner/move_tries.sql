UPDATE run_letters AS r SET state = u.state, why = u.why
FROM (
    SELECT position, $3 AS state, '' AS why FROM unnest($2::int[]) AS position
    UNION ALL
    SELECT position, 'skipped', why FROM unnest($4::int[], $5::text[]) AS skipped (position, why)
) AS u
WHERE r.run = $1 AND r.position = u.position
