SELECT id, at, account, by, action, letter, run, details::text FROM audit
WHERE ($1::text IS NULL OR account = $1) AND ($2::uuid IS NULL OR letter = $2) AND ($3::uuid IS NULL OR run = $3)
    AND ($4::timestamptz IS NULL OR (at, id) < ($4, $5::uuid))
ORDER BY at DESC, id DESC LIMIT $6
