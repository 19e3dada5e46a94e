SELECT token, brand, last4, exp_month, exp_year FROM methods WHERE user_id = $1
