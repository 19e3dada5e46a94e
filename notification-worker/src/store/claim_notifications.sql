-- What was made stays; what was refused may be tried again, for an address may have been mended since.
ON CONFLICT (order_id, event_id) DO UPDATE
SET state = excluded.state, claim = excluded.claim, claimed_until = excluded.claimed_until, reason = NULL
WHERE n.state IN ('pending', 'no_contact', 'refused')
  AND (n.claimed_until IS NULL OR n.claimed_until < clock_timestamp())
