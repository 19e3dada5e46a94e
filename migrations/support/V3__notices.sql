-- Telling staff that messages were given up, so that nobody need watch a page.

-- What was told last of each group.
CREATE TABLE notice_groups (
    key         uuid PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
    -- How many letters it had ever had by then.
    told_total  bigint NOT NULL,
    -- The largest of the thresholds that it was told to have passed, as long as it is past it.
    threshold   bigint NOT NULL DEFAULT 0,
    -- Until then more of the same is no news.
    quiet_until timestamptz NOT NULL
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One notice, about one group or many.
CREATE TABLE notices (
    id         uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- [{"what", "key", "queue", "kind", "pattern", "failed", "total", "since", "threshold"}]
    groups     jsonb NOT NULL,
    -- How many more groups there were than it names.
    unnamed    bigint NOT NULL
);
CREATE INDEX notices_by_time ON notices (created_at);

-- By which way, and to whom, and what came of it.
CREATE TABLE notice_sends (
    notice  uuid NOT NULL REFERENCES notices ON DELETE CASCADE,
    way     text NOT NULL CHECK (way IN ('email', 'webhook')),
    -- An address of mail; a webhook has none here, for there can be a secret in it.
    target  text NOT NULL,
    state   text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'given_up')),
    tries   integer NOT NULL DEFAULT 0,
    -- When it is tried again. To take it is to move this on: that is the lease.
    due_at  timestamptz NOT NULL DEFAULT now(),
    -- What went wrong last.
    why     text NOT NULL DEFAULT '',
    sent_at timestamptz,
    PRIMARY KEY (notice, way, target)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX notice_sends_due ON notice_sends (due_at) WHERE state = 'pending';
