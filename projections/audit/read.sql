-- name: projector_positions
SELECT topic, partition, next FROM projector_positions;

-- name: alert_positions
SELECT topic, partition, next FROM alert_positions;

-- name: decisions
SELECT
    source, source_offset, event::text, customer::text, contact_point, detail->>'error' AS error,
    (detail->>'version')::bigint AS version, reason
FROM identity_decisions;

-- name: customers
SELECT DISTINCT customer::text FROM timeline_entries;

-- name: tickets_with_verdicts
SELECT DISTINCT ticket::text FROM sla_verdicts;

-- name: alerts
SELECT id::text, quiet, opened_at, closed_at, because FROM alerts;

-- name: alerts_whole
SELECT
    alerts.id::text, opened->>'customer' AS customer, quiet, opened_at, closed_at, because, revision
FROM alerts LEFT JOIN alert_clocks ON alert_clocks.id = alerts.clock;

-- name: decisions_of
SELECT
    source_offset, event::text, customer::text, contact_point, (detail->>'version')::bigint AS version, reason
FROM identity_decisions
WHERE source = $1 AND source_offset > $2
ORDER BY source_offset
LIMIT $3;

-- name: given_twice
SELECT event::text FROM identity_decisions GROUP BY event HAVING count(DISTINCT customer) > 1 LIMIT $1;

-- name: hold
LOCK TABLE timeline_entries, tickets, sla_clocks, sla_verdicts, contacts, alerts IN ACCESS SHARE MODE;
