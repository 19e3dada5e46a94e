UPDATE payments SET refund = 'paid_back', refused_event = NULL, updated_at = now() WHERE id = $1
