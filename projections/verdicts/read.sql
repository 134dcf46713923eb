-- name: of_tickets
SELECT * FROM sla_verdicts
WHERE ticket = ANY ($1::uuid[])
ORDER BY ticket, judged_at, metric, cycle, revision;

-- name: verdict
SELECT * FROM sla_verdicts WHERE ticket = $1 AND id = $2;

-- name: by_id
SELECT * FROM sla_verdicts WHERE id > $1 ORDER BY id LIMIT $2;

-- name: by_ids
SELECT * FROM sla_verdicts WHERE id = ANY ($1::uuid[]) ORDER BY id;

-- name: events
SELECT event, type, occurred_at, received_at FROM timeline_entries WHERE id = ANY ($1::uuid[]);
