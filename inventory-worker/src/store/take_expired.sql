-- Whom somebody else is about to settle, adopt or renew is left alone, and looked at again the next time.
DELETE FROM reservations
WHERE holder = ANY (ARRAY(
    SELECT holder
    FROM reservations
    WHERE expires_at <= now()
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
RETURNING lines::text
