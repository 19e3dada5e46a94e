-- The whole saga: what is owed and until when, attempts by hand, refunds, stored methods, and what must be looked after.

-- What an order owes, one row for each. It is the fence: whoever decides about an order's money inserts it if it is
-- missing, locks it in a later statement, and only then decides. A row that says nothing but `off` was left by an order
-- that ended before its payment fell due here: nothing begins for it.
CREATE TABLE dues (
    holder     text PRIMARY KEY,
    user_id    text,
    amount     bigint CHECK (amount > 0),
    deadline   timestamptz,
    -- The order is off: no attempt begins any more.
    off        boolean NOT NULL DEFAULT false,
    CHECK (off OR (user_id IS NOT NULL AND amount IS NOT NULL AND deadline IS NOT NULL))
) WITH (
    autovacuum_analyze_threshold = 1000000,
    autovacuum_vacuum_threshold = 250000,
    autovacuum_vacuum_insert_threshold = 1000000
);

ALTER TABLE payments
    -- How many attempts are left if this one is declined.
    ADD COLUMN attempts_left integer NOT NULL DEFAULT 0 CHECK (attempts_left >= 0),
    -- How the customer pays: `stored`, `card`, or another way by its name. Of a card nothing else is known here.
    ADD COLUMN method text NOT NULL DEFAULT 'stored' CHECK (length(method) BETWEEN 1 AND 32),
    -- The gateway's name for the stored method, as it was when the attempt began: asked again, the gateway is asked the same.
    ADD COLUMN token text,
    -- Until then the attempt is its owner's, who is asking the gateway; later, whoever takes it up.
    ADD COLUMN leased_until timestamptz NOT NULL DEFAULT now(),
    -- What has become of the money since it was captured: it is to be given back, it was, or the gateway will not.
    ADD COLUMN refund text CHECK (refund IN ('due', 'refunded', 'refused')),
    DROP CONSTRAINT payments_state_check,
    DROP CONSTRAINT payments_check,
    ADD CHECK (state IN ('open', 'captured', 'declined', 'voided')),
    -- What was declined or voided is over. Should the gateway have captured it all the same, it stays so: the money is
    -- known, and is given back, but it holds no place.
    ADD CHECK (CASE state WHEN 'open' THEN live WHEN 'captured' THEN true ELSE NOT live END),
    ADD CHECK (refund IS NULL OR state = 'captured');

-- Attempts and refunds that somebody must come back to, and when; an attempt that is answered at once is never here.
-- To take a row is to move its time on: that is the lease.
CREATE TABLE follow_ups (
    id          uuid PRIMARY KEY,
    due_at      timestamptz NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    traceparent text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX follow_ups_by_time ON follow_ups (due_at);

-- How a customer pays unless they say otherwise: the gateway's name for a card, and what people know it by. Never a number.
CREATE TABLE methods (
    user_id    text PRIMARY KEY,
    token      text NOT NULL CHECK (token !~ '^[0-9 -]*$' AND length(token) BETWEEN 1 AND 255),
    brand      text NOT NULL CHECK (length(brand) BETWEEN 1 AND 32),
    last4      text NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
    exp_month  integer NOT NULL CHECK (exp_month BETWEEN 1 AND 12),
    exp_year   integer NOT NULL CHECK (exp_year BETWEEN 2000 AND 2999),
    updated_at timestamptz NOT NULL DEFAULT now()
);
