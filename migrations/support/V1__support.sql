-- What support-console owns: what died, what was done about it and by whom, and its outbox.

-- Letters that died alike. The counts are kept by triggers below, so that a page of groups costs as much as it has lines.
CREATE TABLE groups (
    -- Made of the queue, the type, the kind of death and the normalised reason.
    key        uuid PRIMARY KEY,
    queue      text NOT NULL,
    kind       text NOT NULL,
    death      text NOT NULL,
    -- The reason with what differs from letter to letter left out.
    pattern    text NOT NULL,
    -- One reason as it was given.
    example    text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    failed     bigint NOT NULL DEFAULT 0,
    retrying   bigint NOT NULL DEFAULT 0,
    done       bigint NOT NULL DEFAULT 0,
    discarded  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One row for each dead event, or for each message that cannot be read. What changes when somebody acts (state, version,
-- tries) is in no index, so that a change stays on its page and costs one row.
CREATE TABLE letters (
    -- Made of the queue and the event's id; of the queue and the bytes where no event can be read.
    id          uuid PRIMARY KEY,
    group_key   uuid NOT NULL,
    -- The queue it died in, or `unroutable`.
    queue       text NOT NULL,
    -- Where an unroutable one was published to.
    exchange    text NOT NULL,
    routing_key text NOT NULL,
    event_id    uuid,
    kind        text NOT NULL,
    subject     text NOT NULL,
    -- What was found in its data.
    users       text[] NOT NULL,
    products    text[] NOT NULL,
    death       text NOT NULL,
    reason      text NOT NULL,
    service     text NOT NULL,
    attempts    integer NOT NULL,
    -- Whether there is an event to retry.
    readable    boolean NOT NULL,
    body_bytes  integer NOT NULL,
    died_at     timestamptz NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    -- All that it is found by: `o:ORD…`, `u:123456`, `p:P001`, `e:<event id>`, `w:<a word of the reason>`.
    terms       text[] NOT NULL,
    state       text NOT NULL DEFAULT 'failed' CHECK (state IN ('failed', 'retrying', 'done', 'discarded')),
    -- Counts every change: what was on a screen can be told from what is there now.
    version     integer NOT NULL DEFAULT 1,
    -- Retries by staff so far, and the last of them.
    tries       integer NOT NULL DEFAULT 0,
    retry_id    uuid,
    state_since timestamptz NOT NULL,
    -- Why it was discarded.
    note        text NOT NULL DEFAULT ''
) WITH (
    -- Room for a whole batch of a page's rows to change at once.
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000
);
CREATE INDEX letters_by_time ON letters (died_at, id);
CREATE INDEX letters_by_group ON letters (group_key, died_at, id);
CREATE INDEX letters_by_terms ON letters USING gin (terms);

-- What is to be published again, apart from what is looked through.
CREATE TABLE contents (
    letter  uuid PRIMARY KEY,
    body    bytea NOT NULL,
    -- Every header and property of the message.
    headers jsonb NOT NULL
);

-- Every death of a letter: what was said, and whose retry it was.
CREATE TABLE deaths (
    letter   uuid NOT NULL,
    -- Made of what tells one death from another; the same message delivered again is the same death.
    id       uuid NOT NULL,
    died_at  timestamptz NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    death    text NOT NULL,
    reason   text NOT NULL,
    service  text NOT NULL,
    attempts integer NOT NULL,
    headers  jsonb NOT NULL,
    retry_id uuid,
    PRIMARY KEY (letter, id)
);

CREATE TABLE edits (
    id             uuid PRIMARY KEY,
    letter         uuid NOT NULL,
    account        text NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    -- The letter's version before it.
    version        integer NOT NULL,
    body_before    bytea NOT NULL,
    body_after     bytea NOT NULL,
    headers_before jsonb NOT NULL,
    headers_after  jsonb NOT NULL
);
CREATE INDEX edits_by_letter ON edits (letter, at);

-- Letters as they were on somebody's screen, and what is to be done with exactly these. Until it is started it is a plan.
CREATE TABLE runs (
    id           uuid PRIMARY KEY,
    -- Of what: a letter's id, a group's key, or a query.
    scope        text NOT NULL,
    planned_by   text NOT NULL,
    planned_at   timestamptz NOT NULL DEFAULT now(),
    total        integer NOT NULL,
    action       text CHECK (action IN ('retry', 'discard', 'restore')),
    started_by   text,
    started_at   timestamptz,
    note         text NOT NULL DEFAULT '',
    state        text NOT NULL CHECK (state IN ('planned', 'running', 'paused', 'stopped', 'cancelled', 'finished')),
    -- Why it stands where it stands.
    why          text NOT NULL DEFAULT '',
    -- How many letters each of the first steps takes; what is left is the last step.
    steps        integer[] NOT NULL DEFAULT '{}',
    -- Letters a second in the last step; 0 for as fast as it goes.
    rate         integer NOT NULL DEFAULT 0,
    -- How many may fail in a step.
    tolerate     integer NOT NULL DEFAULT 0,
    step         integer NOT NULL DEFAULT 0,
    step_sent    integer NOT NULL DEFAULT 0,
    step_settled integer NOT NULL DEFAULT 0,
    step_failed  integer NOT NULL DEFAULT 0,
    -- The first letter that was not looked at yet.
    position     integer NOT NULL DEFAULT 0,
    sent         integer NOT NULL DEFAULT 0,
    done         integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    skipped      integer NOT NULL DEFAULT 0,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    -- Whose it is to drive it, and until when.
    owner        uuid,
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX runs_at_work ON runs (id) WHERE state IN ('planned', 'running');

CREATE TABLE run_letters (
    run      uuid NOT NULL,
    position integer NOT NULL,
    letter   uuid NOT NULL,
    -- The letter's version on the screen.
    version  integer NOT NULL,
    -- What the message carries, so that whoever hears of it again knows whose it was. Given before it is sent, so that
    -- no index changes when it is.
    retry_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    state    text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'done', 'failed', 'skipped')),
    -- Why it was skipped.
    why      text NOT NULL DEFAULT '',
    PRIMARY KEY (run, position)
) WITH (
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000
);
CREATE INDEX run_letters_by_letter ON run_letters (letter);

-- What was unroutable and was sent again: nobody will report it done, so it is watched for a while.
CREATE TABLE on_trial (
    retry_id uuid PRIMARY KEY,
    until    timestamptz NOT NULL
);
CREATE INDEX on_trial_by_time ON on_trial (until);

-- Who did what, for good: nobody changes or removes a line of it through the console.
CREATE TABLE audit (
    id      uuid PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    account text NOT NULL,
    -- Through what: `page`, `cli`, or `system`.
    by      text NOT NULL,
    action  text NOT NULL,
    letter  uuid,
    run     uuid,
    details jsonb NOT NULL
);
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_letter ON audit (letter, at) WHERE letter IS NOT NULL;
CREATE INDEX audit_by_run ON audit (run, at) WHERE run IS NOT NULL;
CREATE INDEX audit_by_account ON audit (account, at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was noted in % stays as it is', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The counts of the groups, set-wise: one statement for each statement that touches letters, whatever it touches. Rows
-- are locked in order, so that two such statements wait for each other rather than for ever.
CREATE FUNCTION count_letters() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM FROM groups WHERE key = ANY (ARRAY(SELECT DISTINCT group_key FROM new_letters)) ORDER BY key FOR UPDATE;
        UPDATE groups SET
            failed = failed + moved.count,
            first_seen = least(first_seen, moved.first), last_seen = greatest(last_seen, moved.last)
        FROM (
            SELECT group_key, count(*), min(died_at) AS first, max(died_at) AS last FROM new_letters GROUP BY group_key
        ) AS moved
        WHERE key = moved.group_key;
    ELSE
        PERFORM FROM groups
        WHERE key = ANY (ARRAY(SELECT group_key FROM new_letters UNION SELECT group_key FROM old_letters))
        ORDER BY key FOR UPDATE;
        UPDATE groups SET
            failed = groups.failed + moved.failed, retrying = groups.retrying + moved.retrying,
            done = groups.done + moved.done, discarded = groups.discarded + moved.discarded,
            last_seen = greatest(last_seen, moved.last)
        FROM (
            SELECT group_key,
                coalesce(sum(by) FILTER (WHERE state = 'failed'), 0) AS failed,
                coalesce(sum(by) FILTER (WHERE state = 'retrying'), 0) AS retrying,
                coalesce(sum(by) FILTER (WHERE state = 'done'), 0) AS done,
                coalesce(sum(by) FILTER (WHERE state = 'discarded'), 0) AS discarded,
                max(died_at) FILTER (WHERE by = 1) AS last
            FROM (
                SELECT group_key, state, 1 AS by, died_at FROM new_letters
                UNION ALL SELECT group_key, state, -1, died_at FROM old_letters
            ) AS each
            GROUP BY group_key
        ) AS moved
        WHERE key = moved.group_key;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER letters_came AFTER INSERT ON letters
    REFERENCING NEW TABLE AS new_letters FOR EACH STATEMENT EXECUTE FUNCTION count_letters();
CREATE TRIGGER letters_changed AFTER UPDATE ON letters
    REFERENCING OLD TABLE AS old_letters NEW TABLE AS new_letters FOR EACH STATEMENT EXECUTE FUNCTION count_letters();

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
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;
