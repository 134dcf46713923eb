-- name: put_back
SELECT letter, put_back_at FROM dead_letter_retries WHERE letter = ANY ($1::text[]);

-- name: in_history
SELECT id::text FROM timeline_entries WHERE id = ANY ($1::uuid[]);
