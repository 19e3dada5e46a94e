INSERT INTO dues (holder, off) SELECT u.holder, true FROM unnest($1::text[]) AS u (holder) ON CONFLICT DO NOTHING
