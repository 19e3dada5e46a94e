INSERT INTO methods (user_id, token, brand, last4, exp_month, exp_year) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (user_id) DO UPDATE
SET token = excluded.token, brand = excluded.brand, last4 = excluded.last4, exp_month = excluded.exp_month,
    exp_year = excluded.exp_year, updated_at = now()
