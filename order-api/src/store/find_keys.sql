SELECT k.user_id, k.key_id, k.public_key
FROM (SELECT unnest($1::text[]) AS user_id, unnest($2::text[]) AS key_id) AS u
JOIN signing_keys AS k ON k.user_id = u.user_id AND k.key_id = u.key_id
