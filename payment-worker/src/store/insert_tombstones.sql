INSERT INTO dues (holder, off) SELECT unnest($1::text[]), true ON CONFLICT DO NOTHING
