-- A hold that was asked for before its order was heard of, stock that comes back after it has left, and who counted what.

ALTER TABLE reservations
    -- The version of the order that last settled it; 0 as long as none has. An older word of the order comes too late.
    ADD COLUMN version int NOT NULL DEFAULT 0,
    -- When the hold is given back, unless its order adopts it before. An order's own never is.
    ADD COLUMN expires_at timestamptz,
    DROP CONSTRAINT reservations_state_check,
    ADD CONSTRAINT reservations_state_check
        CHECK (state IN ('locked', 'rejected', 'confirmed', 'restocked', 'released')),
    ADD CONSTRAINT reservations_expires_check CHECK (expires_at IS NULL OR state = 'locked');
CREATE INDEX reservations_expiring ON reservations (expires_at) WHERE expires_at IS NOT NULL;

-- Every change of stock that somebody has asked for.
CREATE TABLE stock_audit (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    product_id text NOT NULL REFERENCES products,
    at         timestamptz NOT NULL DEFAULT now(),
    -- The `sub` of their token.
    by_user    text NOT NULL,
    -- On hand; null if there was no such product.
    before     bigint,
    after      bigint NOT NULL,
    reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
    PRIMARY KEY (product_id, id)
);
