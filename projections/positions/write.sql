-- name: begin
INSERT INTO projector_positions (topic, partition, next)
SELECT topic, partition, 0 FROM unnest($1::text[], $2::integer[]) AS wanted (topic, partition)
ON CONFLICT DO NOTHING;

-- name: move
UPDATE projector_positions AS held
SET next = moved.next
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS moved (topic, partition, expected, next)
WHERE held.topic = moved.topic AND held.partition = moved.partition AND held.next = moved.expected
RETURNING held.topic, held.partition;
