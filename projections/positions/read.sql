-- name: positions
SELECT topic, partition, next
FROM projector_positions
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition);
