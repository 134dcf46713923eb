-- name: positions
SELECT topic, partition, next
FROM source_positions
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition);

-- name: recent
SELECT topic, partition, first_offset, ids
FROM source_recent
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition)
ORDER BY topic, partition, first_offset;

-- name: sources
SELECT s.tenant, s.source, s.events, s.first_at, s.last_at, s.last_occurred_at,
    coalesce(today.events, 0)::bigint AS today,
    coalesce(open.gaps, 0)::bigint AS gaps,
    coalesce(open.missing, 0)::bigint AS missing,
    coalesce(open.overdue_gaps, 0)::bigint AS overdue_gaps,
    coalesce(open.overdue_missing, 0)::bigint AS overdue_missing
FROM sources AS s
LEFT JOIN (
    SELECT tenant, source, sum(events) AS events
    FROM source_received
    WHERE quarter >= $1 AND quarter < $1 + 86400000000
    GROUP BY tenant, source
) AS today USING (tenant, source)
LEFT JOIN (
    SELECT tenant, source,
        sum(jsonb_array_length(stream.gaps) + (stream.untold > 0)::integer) AS gaps,
        sum(stream.missing) AS missing,
        sum(overdue.gaps + (stream.untold > 0)::integer) AS overdue_gaps,
        sum(overdue.missing + stream.untold) AS overdue_missing
    FROM source_streams AS stream
    CROSS JOIN LATERAL (
        SELECT count(*) AS gaps, coalesce(sum((gap ->> 1)::bigint - (gap ->> 0)::bigint + 1), 0) AS missing
        FROM jsonb_array_elements(stream.gaps) AS gap
        WHERE (gap ->> 2)::bigint < $2
    ) AS overdue
    WHERE stream.missing > 0
    GROUP BY tenant, source
) AS open USING (tenant, source)
WHERE ($3::text IS NULL OR s.tenant = $3) AND ($4::text IS NULL OR s.source = $4)
ORDER BY s.first_at, s.tenant, s.source
LIMIT $5;

-- name: open_streams
SELECT s.tenant, s.source, s.conversation, s.missing, s.gaps, s.untold
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, source)
CROSS JOIN LATERAL (
    SELECT *
    FROM source_streams AS stream
    WHERE stream.tenant = wanted.tenant AND stream.source = wanted.source AND stream.missing > 0
    ORDER BY stream.last_at DESC, stream.conversation
    LIMIT $3
) AS s;

-- name: compared
SELECT tenant, source, type, queue, since, until, stated.events AS stated,
    coalesce((
        SELECT sum(received.events)
        FROM source_received AS received
        WHERE received.tenant = stated.tenant AND received.source = stated.source AND received.type = stated.type
            AND (stated.queue = '' OR received.queue = stated.queue)
            AND received.quarter >= stated.since AND received.quarter < stated.until
    ), 0)::bigint AS received
FROM source_stated AS stated
JOIN unnest($1::text[], $2::text[]) AS wanted (tenant, source) USING (tenant, source)
WHERE until > $3
ORDER BY tenant, source, until DESC, since, type, queue;
