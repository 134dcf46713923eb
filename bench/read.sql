-- name: create_database
CREATE DATABASE "NAME";

-- name: drop_database
DROP DATABASE IF EXISTS "NAME" WITH (FORCE);

-- name: server_version
SHOW server_version;

-- name: readable
SELECT id::text FROM timeline_entries WHERE id = ANY ($1::uuid[]);

-- name: clocks_running
SELECT count(*) FROM sla_clocks WHERE state = 'running';

-- name: configurations
SELECT count(*) FROM configurations;
