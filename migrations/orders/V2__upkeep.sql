-- Plans are pinned to look-ups by key, so these tables' statistics decide nothing on the way of an order; and rows change in
-- place, so dead ones are cleared page by page as others are written. By share alone, a table that grows from nothing would
-- be vacuumed and analysed every few seconds, which at 4,000 orders/s took half a processor for a second each time.
ALTER TABLE orders SET (
    autovacuum_analyze_threshold = 1000000,
    autovacuum_vacuum_threshold = 250000,
    autovacuum_vacuum_insert_threshold = 1000000
);
ALTER TABLE history SET (
    autovacuum_analyze_threshold = 1000000,
    autovacuum_vacuum_threshold = 250000,
    autovacuum_vacuum_insert_threshold = 1000000
);
