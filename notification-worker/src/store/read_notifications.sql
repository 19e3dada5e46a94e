SELECT order_id, event_id, version, kind, state,
       claim IS NOT NULL AND claim = $2, claimed_until IS NOT NULL AND claimed_until > clock_timestamp()
FROM notifications
WHERE order_id = ANY ($1)
