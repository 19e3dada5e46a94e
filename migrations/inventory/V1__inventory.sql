-- What inventory-worker owns: stock, what is held of it and for whom, and its outbox.

CREATE TABLE products (
    product_id text PRIMARY KEY,
    on_hand    bigint NOT NULL CHECK (on_hand >= 0),
    reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A hold on stock: one per holder. It goes requested -> locked -> confirmed, or requested -> rejected, or locked ->
-- released. A release that comes first leaves a released row behind, at which a late lock stops.
CREATE TABLE reservations (
    -- Who may decide about it: order:<id>.
    holder     text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('requested', 'locked', 'rejected', 'confirmed', 'released')),
    -- [{"productId", "quantity"}], lines of one product added up.
    lines      jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(lines) = 'array'),
    -- Why it was rejected: [{"productId", "asked", "available"}].
    shortages  jsonb,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);

CREATE TABLE outbox (
    id           uuid PRIMARY KEY,
    exchange     text NOT NULL,
    routing_key  text NOT NULL,
    kind         text NOT NULL,
    body         text NOT NULL,
    locked_until timestamptz NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
