-- name: positions
SELECT partition, next FROM alert_positions WHERE topic = $1 AND partition = ANY ($2::integer[]);

-- name: revisions
SELECT id, revision FROM alert_clocks WHERE id = ANY ($1::uuid[]);

-- name: of_clocks
SELECT clock, ticket, metric, cycle, kind, threshold, episode, quiet, because
FROM alerts
WHERE clock = ANY ($1::uuid[])
ORDER BY opened_at;

-- name: contents
SELECT id, ticket, metric, cycle, kind, threshold, episode, opened, closed, because
FROM alerts
WHERE id = ANY ($1::uuid[]);

-- name: waiting
SELECT
    count(*) FILTER (WHERE state = 'waiting') AS waiting,
    min(greatest(next_at, leased_until)) AS next_at,
    (SELECT count(*) FROM alert_deliveries WHERE receiver = $1 AND state = 'parked') AS parked
FROM alert_deliveries
WHERE receiver = $1 AND state IN ('waiting', 'accepted') AND next_at IS NOT NULL;

-- name: of_ticket
SELECT a.metric, a.cycle, a.kind, a.threshold, a.episode, a.quiet, a.opened_at, a.closed_at, a.because,
    d.receiver, d.state, d.attempts, d.reason, d.detail, d.opened_at AS told_at, d.resolved_at AS resolved_at
FROM alerts AS a
LEFT JOIN alert_deliveries AS d ON d.alert = a.id
WHERE a.ticket = $1
ORDER BY a.opened_at, a.episode, a.kind DESC, a.threshold, d.receiver;

-- name: parked
SELECT a.ticket, a.metric, a.kind, a.threshold, a.episode, d.receiver, d.reason, d.detail
FROM alert_deliveries AS d
JOIN alerts AS a ON a.id = d.alert
WHERE d.state = 'parked'
ORDER BY a.opened_at
LIMIT $1;
