DELETE FROM follow_ups WHERE id = ANY ($1)
