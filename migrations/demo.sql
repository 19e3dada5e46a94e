-- The demo catalogue: it makes the documented example work as it stands (two P001 and one P002 are 100.50).
-- Loading it twice changes nothing.
INSERT INTO orders.products (product_id, name, price) VALUES
    ('P001', 'Espresso cup', 3525),
    ('P002', 'Bag of beans', 3000),
    ('P003', 'Tamper', 1999),
    ('P004', 'Sample sachet', 0)
ON CONFLICT DO NOTHING;
INSERT INTO inventory.products (product_id, on_hand) VALUES
    ('P001', 1000000000),
    ('P002', 1000000000),
    ('P003', 100),
    ('P004', 1000000)
ON CONFLICT DO NOTHING;
-- Where the demo customer is told; `example.test` belongs to nobody.
INSERT INTO notifications.contacts (user_id, email, channel) VALUES
    ('123456', 'demo@example.test', 'email')
ON CONFLICT DO NOTHING;
-- How the demo customer pays.
INSERT INTO payments.methods (user_id, token, brand, last4, exp_month, exp_year) VALUES
    ('123456', 'pm_sandbox_approved_1111', 'visa', '1111', 12, 2030)
ON CONFLICT DO NOTHING;
