-- What each process that hears the workers has noted of the markers that are sent through their queue: all that had been
-- handed to it before one that was sent at this moment is dealt with.
CREATE TABLE listeners (
    id    uuid PRIMARY KEY,
    heard timestamptz NOT NULL
);

-- The broker, as far as it matters whether it still has what was published to it: for as long as it does, it has a token
-- that is named by this generation. One that has lost its data is given the next one.
CREATE TABLE broker (
    is_the_one  boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    generation  bigint NOT NULL DEFAULT 0,
    -- When it was last known to have all.
    known_good  timestamptz NOT NULL DEFAULT now(),
    -- Of the orders between these two it is still to be said again how they stand.
    again_after uuid,
    again_until uuid,
    CHECK ((again_after IS NULL) = (again_until IS NULL))
);
INSERT INTO broker DEFAULT VALUES;
