-- name: newest_first
SELECT * FROM timeline_entries
WHERE customer = $1
ORDER BY occurred_at DESC, id DESC
LIMIT $2;

-- name: newest_first_after
SELECT * FROM timeline_entries
WHERE customer = $1 AND (occurred_at, id) < ($3::bigint, $4::uuid)
ORDER BY occurred_at DESC, id DESC
LIMIT $2;

-- name: oldest_first
SELECT * FROM timeline_entries
WHERE customer = $1
ORDER BY occurred_at, id
LIMIT $2;

-- name: oldest_first_after
SELECT * FROM timeline_entries
WHERE customer = $1 AND (occurred_at, id) > ($3::bigint, $4::uuid)
ORDER BY occurred_at, id
LIMIT $2;

-- name: since
SELECT * FROM timeline_entries
WHERE customer = $1 AND sequence > $2
ORDER BY sequence
LIMIT $3;

-- name: last_sequence
SELECT coalesce(max(sequence), 0) FROM timeline_entries WHERE customer = $1;

-- name: count_of
SELECT count(*) FROM timeline_entries WHERE id = ANY ($1::uuid[]);

-- name: by_id
SELECT * FROM timeline_entries WHERE id > $1 ORDER BY id LIMIT $2;
