-- Which event the refusal of a refund was told to people by. Another event of the same refund has nothing to add; the same
-- one again is somebody's wish to have the gateway asked once more.
ALTER TABLE payments
    ADD COLUMN refused_event uuid,
    ADD CHECK (refused_event IS NULL OR refund IS NOT DISTINCT FROM 'refused');

-- The signatures of the callbacks that were taken, for as long as the time that they were signed at would still do: the
-- same bytes are not taken twice.
CREATE TABLE callbacks (
    signature bytea PRIMARY KEY CHECK (length(signature) = 32),
    forget_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX callbacks_by_time ON callbacks (forget_at);
