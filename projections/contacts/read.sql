-- name: all_entries
SELECT id, customer, tenant, type, channel, direction, occurred_at, received_at, conversation, ticket, actor, call, about
FROM timeline_entries
WHERE type LIKE 'call%' OR type LIKE 'chat.%'
ORDER BY tenant COLLATE "C", conversation COLLATE "C";

-- name: rebuilt_entries
SELECT id, customer, tenant, type, channel, direction, occurred_at, received_at, conversation, ticket, actor, call, about
FROM rebuilding.timeline_entries
WHERE type LIKE 'call%' OR type LIKE 'chat.%'
ORDER BY tenant COLLATE "C", conversation COLLATE "C";

-- name: by_id
SELECT * FROM contacts WHERE id > $1 ORDER BY id, number LIMIT $2;
