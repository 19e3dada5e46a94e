-- What order-api owns: the catalogue it prices by, orders, their timeline, and its outbox.

CREATE TABLE products (
    product_id text PRIMARY KEY,
    name       text NOT NULL,
    -- Minor units of the shop's currency.
    price      bigint NOT NULL CHECK (price >= 0)
);

CREATE TABLE orders (
    id         uuid PRIMARY KEY,
    user_id    text NOT NULL,
    status     text NOT NULL CHECK (status IN ('pending', 'awaiting_payment', 'paid', 'rejected', 'payment_failed')),
    -- Raised by one with every transition, and carried by every order.* event.
    version    integer NOT NULL CHECK (version >= 1),
    amount     bigint NOT NULL CHECK (amount >= 0),
    -- What was ordered, at the prices of that moment: [{"productId", "quantity", "unitPrice"}]. It never changes and is
    -- only ever read together with its order.
    lines      json NOT NULL,
    -- The payment that paid it.
    transaction_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (status <> 'paid' OR amount = 0 OR transaction_id IS NOT NULL)
) WITH (
    -- Room on the page for a whole batch of its orders to change at once, so that they need no new index entries.
    fillfactor = 45
);

-- The timeline: one row per transition. Written only together with its order, in one transaction.
CREATE TABLE history (
    order_id uuid NOT NULL,
    version  integer NOT NULL,
    status   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What brought it about, such as inventory.locked, and what it said.
    cause    text NOT NULL,
    detail   text,
    PRIMARY KEY (order_id, version)
);

CREATE TABLE outbox (
    id           uuid PRIMARY KEY,
    exchange     text NOT NULL,
    routing_key  text NOT NULL,
    kind         text NOT NULL,
    -- A parcel, as it will travel.
    body         bytea NOT NULL,
    locked_until timestamptz NOT NULL
) WITH (
    -- Every row is deleted within moments: vacuum by count, not by share.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
-- It is there for a moment only, and JSON goes in and out as it is: not worth compressing.
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;
