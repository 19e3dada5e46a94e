SELECT died_at, death, reason, service, attempts, headers::text, retry_id FROM deaths
WHERE letter = $1 ORDER BY died_at DESC, seen_at DESC LIMIT 100
