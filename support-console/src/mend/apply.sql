UPDATE letters SET
    event_id = $2, kind = $3, subject = $4, users = $5, products = $6, terms = $7, body_bytes = $8, readable = true,
    version = version + 1
WHERE id = $1
