-- What inventory-worker owns: stock, what is held of it and for whom, and its outbox.

CREATE TABLE products (
    product_id text PRIMARY KEY,
    on_hand    bigint NOT NULL CHECK (on_hand >= 0),
    reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A hold on stock: one per holder. It begins locked or rejected; what is locked becomes confirmed or released. A release
-- that comes first leaves a released row behind, at which a late lock stops.
CREATE TABLE reservations (
    -- Who may decide about it: order:<id>.
    holder     text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('locked', 'rejected', 'confirmed', 'released')),
    -- [{"productId", "quantity"}], lines of one product added up.
    lines      json NOT NULL DEFAULT '[]',
    -- Why it was rejected: [{"productId", "asked", "available"}].
    shortages  json,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'rejected') = (shortages IS NOT NULL))
) WITH (
    -- Room on the page for a whole batch of its rows to change at once, so that they need no new index entries.
    fillfactor = 45
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
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
-- It is there for a moment only, and JSON goes in and out as it is: not worth compressing.
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;
