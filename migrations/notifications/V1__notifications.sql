-- What notification-worker owns: what customers were told, and its outbox.

CREATE TABLE notifications (
    -- The event it tells of, and the way it is told: each is told once.
    event_id   uuid NOT NULL,
    channel    text NOT NULL CHECK (channel IN ('log', 'email', 'sms')),
    order_id   uuid NOT NULL,
    user_id    text NOT NULL,
    kind       text NOT NULL,
    state      text NOT NULL CHECK (state IN ('pending', 'sent')),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    PRIMARY KEY (event_id, channel),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
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
