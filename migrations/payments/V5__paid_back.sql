-- What people need to see and to set right where the gateway refuses to give money back for good.

ALTER TABLE payments
    -- When its money came. What was captured before there was this column, and has not been given back since, was last
    -- changed then.
    ADD COLUMN captured_at timestamptz,
    -- When the gateway was last asked anew to give it back, or last said what became of that.
    ADD COLUMN refund_tried_at timestamptz,
    DROP CONSTRAINT payments_refund_check,
    -- `paid_back`: the gateway refuses, and a person has paid the customer back in another way. The gateway's books know
    -- nothing of it.
    ADD CONSTRAINT payments_refund_check CHECK (refund IN ('due', 'refunded', 'refused', 'paid_back'));

-- What was paid back by hand, by whom, and by which reference it can be found. It is never changed: should the gateway
-- give the same money back later, the payment says `refunded`, and this says that it was given twice. (Without a foreign
-- key, which would cost every payment a look; whoever inserts holds the payment's lock.)
CREATE TABLE paid_back (
    id      uuid PRIMARY KEY,
    account text NOT NULL,
    note    text NOT NULL CHECK (length(note) BETWEEN 1 AND 500),
    at      timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was noted in % stays as it is', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER paid_back_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON paid_back
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
