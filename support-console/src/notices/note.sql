-- A notice, and each way by which it is to go.
WITH notice AS (
    INSERT INTO notices (id, groups, unnamed) VALUES ($1, $2::text::jsonb, $3) RETURNING id
)
INSERT INTO notice_sends (notice, way, target)
SELECT notice.id, to_send.way, to_send.target
FROM notice, (SELECT unnest($4::text[]) AS way, unnest($5::text[]) AS target) AS to_send
