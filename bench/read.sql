-- name: create_database
CREATE DATABASE "NAME";

-- name: drop_database
DROP DATABASE IF EXISTS "NAME" WITH (FORCE);

-- name: server_version
SHOW server_version;

-- name: by_index
-- A table this young has no statistics yet, and would be read whole each time.
SET enable_seqscan = off;

-- name: readable
SELECT id::text FROM timeline_entries WHERE id = ANY ($1::uuid[]);

-- name: clocks_running
SELECT count(*) FROM sla_clocks WHERE state = 'running';

-- name: configurations
SELECT count(*) FROM configurations;
