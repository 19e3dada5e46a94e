-- What was confirmed need not be forgotten for certain: after a crash it is at worst published again. So this commit does
-- not wait for the disk, and leaves it to those that must.
DELETE FROM outbox
USING (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
WHERE id = ANY ($1)
