-- JSON of many events of one kind takes a fifth of its room when it is compressed, and a large parcel is written in rows of
-- 2 KB, each with an entry in an index: what is not written need not be logged, flushed and vacuumed. lz4 costs next to
-- nothing; small parcels stay as they are.
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTENDED;
ALTER TABLE outbox ALTER COLUMN body SET COMPRESSION lz4;
