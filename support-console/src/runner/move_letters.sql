UPDATE letters AS l SET
    state = $3, state_since = now(), version = l.version + 1, note = $5,
    tries = l.tries + $4::bool::int, retry_id = CASE WHEN $4::bool THEN u.retry_id ELSE l.retry_id END
FROM (SELECT unnest($1::uuid[]) AS letter, unnest($2::uuid[]) AS retry_id) AS u
WHERE l.id = u.letter
