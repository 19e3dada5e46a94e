-- A customer's orders, the newest first: ids grow with time. Nothing in it ever changes, so an order's steps still need no
-- new index entries. There is none by status: that changes, and each step of each order would pay for it.
CREATE INDEX orders_by_user ON orders (user_id, id);

ALTER TABLE orders DROP CONSTRAINT orders_status_check;
ALTER TABLE orders ADD CONSTRAINT orders_status_check
    CHECK (status IN ('pending', 'awaiting_payment', 'paid', 'rejected', 'payment_failed', 'cancelled'));
