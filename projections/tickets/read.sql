-- name: ticket
SELECT * FROM tickets WHERE id = $1;

-- name: clocks
SELECT * FROM sla_clocks WHERE ticket = ANY ($1::uuid[]) ORDER BY ticket, started_at, metric, cycle;

-- name: by_opening
SELECT * FROM tickets
WHERE ($1::text[] IS NULL OR status = ANY ($1))
    AND ($2::uuid IS NULL OR customer = $2)
    AND ($3::text IS NULL OR team = $3)
    AND ($4::text IS NULL OR organisation = $4)
    AND ($5::text IS NULL OR tenant = $5)
    AND ($6::bigint IS NULL OR (opened_at, id) < ($6, $7::uuid))
ORDER BY opened_at DESC, id DESC
LIMIT $8;

-- name: open_by_due
SELECT * FROM tickets
WHERE status NOT IN ('resolved', 'closed')
ORDER BY next_due_at, opened_at, id
LIMIT $1;

-- name: by_id
SELECT * FROM tickets WHERE id > $1 ORDER BY id LIMIT $2;

-- name: stray_clocks
SELECT DISTINCT ticket::text FROM sla_clocks
WHERE NOT EXISTS (SELECT FROM tickets WHERE tickets.id = sla_clocks.ticket);
