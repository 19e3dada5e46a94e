-- Until when an order can be paid, how many attempts at it were declined, and whether its customer was reminded.
--
-- Orders that are under way get a quarter of an hour from now; of the others the deadline means nothing any more, and they
-- are not written again for its sake.
ALTER TABLE orders
    ADD COLUMN deadline timestamptz NOT NULL DEFAULT now() + interval '15 minutes',
    ADD COLUMN declines integer NOT NULL DEFAULT 0 CHECK (declines >= 0),
    ADD COLUMN reminded boolean NOT NULL DEFAULT false;
ALTER TABLE orders ALTER COLUMN deadline DROP DEFAULT;

ALTER TABLE orders DROP CONSTRAINT orders_status_check;
ALTER TABLE orders ADD CONSTRAINT orders_status_check CHECK (status IN (
    'pending', 'awaiting_payment', 'paid', 'rejected', 'payment_failed', 'expired', 'cancelled', 'refunding', 'refunded'
));
ALTER TABLE orders ADD CHECK (status NOT IN ('refunding', 'refunded') OR transaction_id IS NOT NULL);

-- When to look at orders again: one row for all those that were accepted together, until nothing more is to be expected
-- of any of them. An index on the orders' own deadlines would cost each order an entry, and each look a search among those
-- that were paid long ago.
CREATE TABLE wakeups (
    id     uuid PRIMARY KEY,
    due    timestamptz NOT NULL,
    orders uuid[] NOT NULL,
    -- How often it was looked.
    looks  integer NOT NULL DEFAULT 0
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
CREATE INDEX wakeups_due ON wakeups (due);

-- Those that are under way already.
INSERT INTO wakeups (id, due, orders)
SELECT gen_random_uuid(), now() + interval '1 minute', array_agg(id)
FROM (SELECT id, row_number() OVER (ORDER BY id) / 256 AS part FROM orders WHERE status IN ('pending', 'awaiting_payment'))
    AS under_way
GROUP BY part;
