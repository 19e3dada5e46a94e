SELECT l.version, l.state, l.event_id, l.reason, c.body
FROM letters AS l JOIN contents AS c ON c.letter = l.id
WHERE l.id = $1
FOR UPDATE
