UPDATE run_letters AS r SET state = u.state, why = u.why
FROM (
    SELECT position, $3 AS state, '' AS why FROM unnest($2::int[]) AS position
    UNION ALL
    SELECT position, 'skipped', why FROM (SELECT unnest($4::int[]) AS position, unnest($5::text[]) AS why) AS skipped
) AS u
WHERE r.run = $1 AND r.position = u.position
