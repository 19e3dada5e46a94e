INSERT INTO runs (id, scope, planned_by, total, action, state) VALUES ($1, $2, $3, $4, $5, 'planned')
