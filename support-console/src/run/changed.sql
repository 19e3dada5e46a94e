SELECT u.version, l.version FROM run_letters AS u JOIN letters AS l ON l.id = u.letter
WHERE u.run = $1 AND l.version <> u.version
