INSERT INTO audit (id, account, by, action, letter, run, details) VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
