SELECT k.user_id, k.key_id, k.public_key
FROM unnest($1::text[], $2::text[]) AS u (user_id, key_id)
JOIN signing_keys AS k ON k.user_id = u.user_id AND k.key_id = u.key_id
