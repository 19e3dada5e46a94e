-- Retries that have failed. What was sent again is kept as it is: the message that came back differs from it in nothing but
-- the marks of the retry. What its worker has said to be done stays done; an unroutable one is only thought to be.
UPDATE letters AS l SET
    state = 'failed', state_since = now(), version = l.version + 1, last_seen = now(),
    died_at = greatest(l.died_at, u.died_at), death = u.death, reason = u.reason, service = u.service, group_key = u.group_key,
    terms = ARRAY(SELECT term FROM unnest(l.terms) AS term WHERE term NOT LIKE 'w:%') || string_to_array(u.words, E'\x1f')
FROM (
    SELECT unnest($1::uuid[]) AS letter, unnest($2::uuid[]) AS retry_id, unnest($3::timestamptz[]) AS died_at,
           unnest($4::text[]) AS death, unnest($5::text[]) AS reason, unnest($6::text[]) AS service,
           unnest($7::uuid[]) AS group_key, unnest($8::text[]) AS words
) AS u
WHERE l.id = u.letter AND l.retry_id = u.retry_id
    AND (l.state IN ('retrying', 'failed') OR (l.state = 'done' AND l.queue = 'unroutable'))
