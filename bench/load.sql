-- name: known_customers
INSERT INTO customers (id, tenant, created_at, first_contact_kind, first_contact_value)
SELECT md5('customer-' || number)::uuid, $1, to_timestamp(0), 'email', 'customer-' || number || '@example.com'
FROM generate_series($2::bigint, $3::bigint) AS number;

-- name: known_contact_points
INSERT INTO contact_points (tenant, kind, value, customer, verified, linked_because, linked_at, event)
SELECT
    $1, 'email', 'customer-' || number || '@example.com', md5('customer-' || number)::uuid, true, 'first_seen',
    to_timestamp(0), md5('event-' || number)::uuid
FROM generate_series($2::bigint, $3::bigint) AS number;

-- name: settled
VACUUM (ANALYZE) customers, contact_points;

-- name: positions_so_far
SELECT coalesce(sum(next), 0) FROM projector_positions;

-- name: entries_so_far
SELECT count(*) FROM timeline_entries;

-- name: history
INSERT INTO timeline_entries (
    id, event, customer, tenant, sequence, type, channel, direction, occurred_at, received_at, conversation, source,
    ticket, joined_because, actor, contact_point, subject, text, automatic
)
SELECT
    md5('entry-' || number)::uuid, md5('event-' || number)::uuid, md5('customer-' || number % $3::bigint)::uuid, $1,
    number / $3::bigint, 'email.received', 'email', 'inbound', $2::bigint + number * 1000, $2::bigint + number * 1000,
    'email:' || number, 'email/main', md5('ticket-' || number / 5)::uuid, 'opened', '{"kind": "customer"}',
    'email:customer-' || number % $3::bigint || '@example.com', 'Where is order 4711?',
    'My parcel was due on Monday and nothing came. Could you look where it is and tell me when it will be here?', 'no'
FROM generate_series($4::bigint, $5::bigint) AS number;

-- name: history_indexes
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'timeline_entries' AND indexname <> 'timeline_entries_pkey';

-- name: drop_index
DROP INDEX NAME;

-- name: drop_history_key
ALTER TABLE timeline_entries DROP CONSTRAINT timeline_entries_pkey;

-- name: add_history_key
ALTER TABLE timeline_entries ADD CONSTRAINT timeline_entries_pkey PRIMARY KEY (id);

-- name: settled_history
VACUUM (ANALYZE) timeline_entries, customers;
