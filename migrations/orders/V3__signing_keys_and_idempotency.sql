-- Whom an order can be signed by: the public halves of Ed25519 keys.
CREATE TABLE signing_keys (
    user_id    text NOT NULL,
    key_id     text NOT NULL,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key_id)
);

-- What a client named its request, and what the request said. It lives exactly as long as the order that came of it.
ALTER TABLE orders
    ADD COLUMN idempotency_key text,
    ADD COLUMN request_hash bytea CHECK (octet_length(request_hash) = 32),
    ADD CHECK ((idempotency_key IS NULL) = (request_hash IS NULL));

-- Of two transactions that make an order of one request, one fails.
CREATE UNIQUE INDEX orders_idempotency ON orders (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
