-- name: lock
SELECT pg_try_advisory_lock($1);

-- name: begin
DROP SCHEMA IF EXISTS rebuilding CASCADE;
CREATE SCHEMA rebuilding;
CREATE TABLE rebuilding.timeline_entries (LIKE timeline_entries INCLUDING ALL EXCLUDING INDEXES);
CREATE TABLE rebuilding.tickets (LIKE tickets INCLUDING ALL EXCLUDING INDEXES);
CREATE TABLE rebuilding.sla_clocks (LIKE sla_clocks INCLUDING ALL EXCLUDING INDEXES);
CREATE TABLE rebuilding.sla_verdicts (LIKE sla_verdicts INCLUDING ALL EXCLUDING INDEXES);
CREATE TABLE rebuilding.contacts (LIKE contacts INCLUDING ALL EXCLUDING INDEXES);

-- name: finish
DO $$
DECLARE
    old record;
    granted record;
BEGIN
    -- The same indexes, whoever made them; an index is in the schema of its table, so the names stay.
    FOR old IN
        SELECT pg_get_indexdef(i.indexrelid) AS definition, t.relname AS held, x.relname AS named, i.indisprimary
        FROM pg_index AS i
        JOIN pg_class AS t ON t.oid = i.indrelid
        JOIN pg_class AS x ON x.oid = i.indexrelid
        WHERE t.oid = ANY (ARRAY['timeline_entries', 'tickets', 'sla_clocks', 'sla_verdicts', 'contacts']::regclass[])
    LOOP
        EXECUTE regexp_replace(old.definition, ' ON [^ ]+ USING ', format(' ON rebuilding.%I USING ', old.held));
        IF old.indisprimary THEN
            EXECUTE format('ALTER TABLE rebuilding.%1$I ADD CONSTRAINT %2$I PRIMARY KEY USING INDEX %2$I',
                old.held, old.named);
        END IF;
    END LOOP;
    -- Whoever may read the old tables may read the new ones.
    FOR granted IN
        SELECT t.relname AS held, a.privilege_type AS what, a.is_grantable,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS whom
        FROM pg_class AS t CROSS JOIN aclexplode(t.relacl) AS a
        WHERE t.oid = ANY (ARRAY['timeline_entries', 'tickets', 'sla_clocks', 'sla_verdicts', 'contacts']::regclass[])
    LOOP
        EXECUTE format('GRANT %s ON rebuilding.%I TO %s', granted.what, granted.held, granted.whom)
            || CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END;
    END LOOP;
END $$;
ANALYZE rebuilding.timeline_entries, rebuilding.tickets, rebuilding.sla_clocks, rebuilding.sla_verdicts,
    rebuilding.contacts;

-- name: replace
DO $$
DECLARE
    home text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'timeline_entries'::regclass);
    held text;
BEGIN
    SET LOCAL lock_timeout = '2s';
    CREATE SCHEMA replaced;
    FOREACH held IN ARRAY ARRAY['timeline_entries', 'tickets', 'sla_clocks', 'sla_verdicts', 'contacts'] LOOP
        EXECUTE format('ALTER TABLE %s.%I SET SCHEMA replaced', home, held);
        EXECUTE format('ALTER TABLE rebuilding.%I SET SCHEMA %s', held, home);
        EXECUTE format('DROP TABLE replaced.%I', held);
    END LOOP;
    DROP SCHEMA replaced;
    DROP SCHEMA rebuilding;
END $$;

-- name: place
INSERT INTO projector_positions (topic, partition, next)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next;
