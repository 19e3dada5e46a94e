-- How customers can be told, and that what they are told last is true.

CREATE TABLE contacts (
    user_id    text PRIMARY KEY,
    email      text CHECK (length(email) <= 254),
    phone      text CHECK (length(phone) <= 16),
    -- By which of the two they want to be told.
    channel    text NOT NULL CHECK (channel IN ('email', 'sms')),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (channel <> 'email' OR email IS NOT NULL),
    CHECK (channel <> 'sms' OR phone IS NOT NULL)
);

-- Each event is told once, on the one channel that its customer wants. The key begins with the order, for what else its
-- customer was told is asked with every event.
ALTER TABLE notifications
    DROP CONSTRAINT notifications_pkey,
    ADD PRIMARY KEY (order_id, event_id),
    -- It is known when it is told.
    ALTER COLUMN channel DROP NOT NULL,
    -- Of the order, in the event.
    ADD COLUMN version int NOT NULL DEFAULT 0,
    -- Why it was not told.
    ADD COLUMN reason text,
    -- Who is telling it at the moment, and until when they may.
    ADD COLUMN claim bigint,
    ADD COLUMN claimed_until timestamptz,
    DROP CONSTRAINT notifications_state_check,
    ADD CONSTRAINT notifications_state_check
        CHECK (state IN ('pending', 'sent', 'superseded', 'no_contact', 'refused')),
    ADD CONSTRAINT notifications_told_check CHECK (channel IS NOT NULL OR state <> 'sent'),
    ADD CONSTRAINT notifications_claim_check
        CHECK ((claim IS NULL) = (claimed_until IS NULL) AND (claim IS NULL OR state = 'pending'));

-- What other programs of the shop had sent by request.
CREATE TABLE requested (
    -- Made of who asked and their key; random without a key.
    id            uuid PRIMARY KEY,
    user_id       text NOT NULL,
    channel       text NOT NULL CHECK (channel IN ('email', 'sms')),
    -- Of the request, so that a key stands for one.
    hash          bytea NOT NULL,
    state         text NOT NULL CHECK (state IN ('pending', 'sent', 'refused')),
    claimed_until timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
