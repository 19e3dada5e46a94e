INSERT INTO paid_back (id, account, note) VALUES ($1, $2, $3) RETURNING account, note, at
