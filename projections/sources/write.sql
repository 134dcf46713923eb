-- name: begin
INSERT INTO source_positions (topic, partition, next)
SELECT topic, partition, 0 FROM unnest($1::text[], $2::integer[]) AS wanted (topic, partition)
ON CONFLICT DO NOTHING;

-- name: move
UPDATE source_positions AS held
SET next = moved.next
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS moved (topic, partition, expected, next)
WHERE held.topic = moved.topic AND held.partition = moved.partition AND held.next = moved.expected
RETURNING held.topic, held.partition;

-- name: remember
INSERT INTO source_recent (topic, partition, first_offset, next_offset, ids)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bytea[]);

-- name: forget
DELETE FROM source_recent AS held
USING unnest($1::text[], $2::integer[], $3::bigint[]) AS done (topic, partition, before)
WHERE held.topic = done.topic AND held.partition = done.partition AND held.next_offset <= done.before;

-- name: add_sources
INSERT INTO sources AS held (tenant, source, events, first_at, last_at, last_occurred_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (tenant, source) DO UPDATE
SET events = held.events + EXCLUDED.events,
    first_at = least(held.first_at, EXCLUDED.first_at),
    last_at = greatest(held.last_at, EXCLUDED.last_at),
    last_occurred_at = greatest(held.last_occurred_at, EXCLUDED.last_occurred_at);

-- name: add_received
INSERT INTO source_received AS held (tenant, source, type, queue, quarter, events)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
ON CONFLICT (tenant, source, quarter, type, queue) DO UPDATE
SET events = held.events + EXCLUDED.events;

-- name: meters
SELECT tenant, source, type, queue, until, total
FROM source_meters
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (tenant, source, type, queue)
    USING (tenant, source, type, queue)
FOR UPDATE OF source_meters;

-- name: put_meters
INSERT INTO source_meters (tenant, source, type, queue, until, total)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
ON CONFLICT (tenant, source, type, queue) DO UPDATE
SET until = EXCLUDED.until, total = EXCLUDED.total;

-- name: put_stated
INSERT INTO source_stated (tenant, source, type, queue, since, until, events)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (tenant, source, until, since, type, queue) DO UPDATE
SET events = EXCLUDED.events;

-- name: begin_streams
INSERT INTO source_streams (tenant, source, conversation, lowest, highest, missing, gaps, untold, told_from, last_at)
SELECT tenant, source, conversation, 0, -1, 0, '[]', 0, -1, 0
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (tenant, source, conversation)
ORDER BY tenant, source, conversation
ON CONFLICT DO NOTHING;

-- name: lock_streams
SELECT tenant, source, conversation, lowest, highest, gaps, untold, told_from, last_at
FROM source_streams
JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (tenant, source, conversation)
    USING (tenant, source, conversation)
ORDER BY tenant, source, conversation
FOR UPDATE OF source_streams;

-- name: put_streams
UPDATE source_streams AS held
SET lowest = new.lowest, highest = new.highest, missing = new.missing, gaps = new.gaps, untold = new.untold,
    told_from = new.told_from, last_at = greatest(held.last_at, new.last_at)
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::jsonb[], $8::bigint[],
    $9::bigint[], $10::bigint[]
) AS new (tenant, source, conversation, lowest, highest, missing, gaps, untold, told_from, last_at)
WHERE held.tenant = new.tenant AND held.source = new.source AND held.conversation = new.conversation;

-- name: prune_received
DELETE FROM source_received WHERE quarter < $1;

-- name: prune_stated
DELETE FROM source_stated WHERE until < $1;

-- name: prune_streams
DELETE FROM source_streams WHERE last_at < $1;

-- name: reset
TRUNCATE source_positions, source_recent, sources, source_received, source_stated, source_meters, source_streams;
