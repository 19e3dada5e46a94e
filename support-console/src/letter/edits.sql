SELECT id, account, at, version, body_before, body_after FROM edits WHERE letter = $1 ORDER BY at DESC LIMIT 50
