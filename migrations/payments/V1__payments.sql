-- What payment-worker owns: attempts to move money, and its outbox.

CREATE TABLE payments (
    -- Shown as TXN..., and the key under which the gateway knows the attempt.
    id         uuid PRIMARY KEY,
    -- What it pays for: order:<id>.
    holder     text NOT NULL,
    attempt    integer NOT NULL CHECK (attempt >= 1),
    state      text NOT NULL CHECK (state IN ('open', 'captured', 'declined')),
    -- Under way or successful. It follows from the state; as a column of its own it lets the state change without
    -- touching an index.
    live       boolean NOT NULL DEFAULT true CHECK (live = (state <> 'declined')),
    amount     bigint NOT NULL CHECK (amount > 0),
    -- The gateway's own name for it, once it has answered.
    gateway_reference text,
    reason     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (holder, attempt),
    CHECK (state <> 'captured' OR gateway_reference IS NOT NULL)
) WITH (
    -- Room on the page for a whole batch of its rows to change at once, so that they need no new index entries.
    fillfactor = 45
);

-- At most one attempt per order is under way or has succeeded.
CREATE UNIQUE INDEX one_live_payment_per_holder ON payments (holder) WHERE live;

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
