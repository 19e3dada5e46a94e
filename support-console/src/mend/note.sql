INSERT INTO edits (id, letter, account, version, body_before, body_after, headers_before, headers_after)
SELECT $1, $2, $3, $4, body, $5, headers, headers FROM contents WHERE letter = $2
