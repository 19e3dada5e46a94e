SELECT account, note, at FROM paid_back WHERE id = $1
