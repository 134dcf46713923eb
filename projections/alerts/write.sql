-- name: alone
SELECT pg_advisory_xact_lock($1), set_config('idle_in_transaction_session_timeout', '10s', true);

-- name: begin_positions
INSERT INTO alert_positions (topic, partition, next)
SELECT $1, partition, 0 FROM unnest($2::integer[]) AS wanted (partition)
ON CONFLICT DO NOTHING;

-- name: move_positions
UPDATE alert_positions AS held
SET next = moved.next
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS moved (partition, expected, next)
WHERE held.topic = $1 AND held.partition = moved.partition AND held.next = moved.expected
RETURNING held.partition;

-- name: revise_clocks
INSERT INTO alert_clocks (id, revision)
SELECT * FROM unnest($1::uuid[], $2::bigint[])
ON CONFLICT (id) DO UPDATE SET revision = EXCLUDED.revision;

-- name: open_alerts
INSERT INTO alerts (
    id, clock, tenant, ticket, metric, cycle, kind, threshold, episode, quiet, opened_at, opened,
    closed_at, closed, because
)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::integer[], $9::bigint[],
    $10::text[], $11::bigint[], $12::jsonb[], $13::bigint[], $14::jsonb[], $15::text[]
);

-- name: address_alerts
INSERT INTO alert_deliveries (alert, receiver, state, given, perhaps, because, attempts, next_at)
SELECT alert, receiver, 'waiting', 'nothing', 'nothing', because, 0, $4
FROM unnest($1::uuid[], $2::text[]) AS opened (alert, because)
CROSS JOIN unnest($3::text[]) AS receiver;

-- name: lock_deliveries
SELECT alert FROM alert_deliveries WHERE alert = ANY ($1::uuid[]) ORDER BY alert, receiver FOR UPDATE;

-- name: close_alerts
UPDATE alerts
SET closed_at = done.closed_at, closed = done.closed, because = done.because
FROM unnest($1::uuid[], $2::bigint[], $3::jsonb[], $4::text[]) AS done (id, closed_at, closed, because)
WHERE alerts.id = done.id;

-- name: close_deliveries
UPDATE alert_deliveries AS held
SET because = done.because, state = 'waiting', attempts = 0, next_at = $3
FROM unnest($1::uuid[], $2::text[]) AS done (alert, because)
WHERE held.alert = done.alert AND held.state IN ('waiting', 'accepted');

-- name: pick
SELECT alert, state, given, perhaps, because, attempts, next_at, reason
FROM alert_deliveries
WHERE receiver = $1 AND state = $2 AND next_at <= $3 AND leased_until <= $3 AND alert <> ALL ($4::uuid[])
ORDER BY next_at
LIMIT $5
FOR UPDATE SKIP LOCKED;

-- name: lease
UPDATE alert_deliveries AS held
SET state = taken.state, perhaps = taken.perhaps, attempts = taken.attempts, next_at = taken.next_at,
    leased_until = taken.leased_until
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::bigint[])
    AS taken (alert, state, perhaps, attempts, next_at, leased_until)
WHERE held.alert = taken.alert AND held.receiver = $1;

-- name: held
SELECT alert, state, given, perhaps, because, attempts, next_at, reason, leased_until
FROM alert_deliveries
WHERE receiver = $1 AND alert = ANY ($2::uuid[])
ORDER BY alert
FOR UPDATE;

-- name: settle
UPDATE alert_deliveries AS held
SET state = done.state, given = done.given, perhaps = done.perhaps, attempts = done.attempts, next_at = done.next_at,
    reason = done.reason, detail = done.detail, leased_until = 0,
    opened_at = coalesce(held.opened_at, done.opened_at), resolved_at = coalesce(held.resolved_at, done.resolved_at)
FROM unnest(
    $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::text[], $9::text[],
    $10::bigint[], $11::bigint[]
) AS done (alert, state, given, perhaps, attempts, next_at, reason, detail, opened_at, resolved_at)
WHERE held.alert = done.alert AND held.receiver = $1;

-- name: hurry
UPDATE alert_deliveries AS held
SET next_at = $2
FROM (
    SELECT alert
    FROM alert_deliveries
    WHERE receiver = $1 AND state IN ('waiting', 'accepted') AND next_at > $2 AND reason = ANY ($3::text[])
    FOR UPDATE SKIP LOCKED
) AS free
WHERE held.alert = free.alert AND held.receiver = $1;

-- name: release
UPDATE alert_deliveries
SET state = 'waiting', attempts = 0, next_at = $2
WHERE receiver = $1 AND state = 'parked';
