SELECT died_at, id FROM letters
WHERE (died_at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
ORDER BY died_at DESC, id DESC OFFSET $3 LIMIT 1
