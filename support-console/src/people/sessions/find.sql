-- Whose session it is, which role they have now, and whether it is worth noting that it was used.
SELECT name, role, used_at < now() - interval '1 minute'
FROM sessions JOIN accounts ON name = account
WHERE token_hash = $1 AND NOT disabled
    AND used_at > now() - make_interval(secs => $2) AND begun_at > now() - make_interval(secs => $3)
