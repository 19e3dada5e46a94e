-- Ids begin with the millisecond in which they were made, and the clocks of those who make them may differ by a minute.
-- Before the first broker there was nothing that could have been lost.
UPDATE broker
SET generation = generation + 1,
    known_good = now(),
    again_after = CASE WHEN generation > 0 THEN least(again_after, (lpad(to_hex(
        (extract(epoch FROM known_good) * 1000)::bigint - $2::bigint - 60000), 12, '0') || repeat('0', 20))::uuid) END,
    again_until = CASE WHEN generation > 0 THEN (lpad(to_hex(
        (extract(epoch FROM now()) * 1000)::bigint + 60000), 12, '0') || repeat('0', 20))::uuid END
WHERE generation = $1
