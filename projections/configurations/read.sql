-- name: versions
SELECT version, tenant, name, event::text, body, source, applied_by, written,
    (extract(epoch FROM published_at) * 1000000)::bigint AS published_at,
    version = (SELECT max(version) FROM configurations AS newer WHERE newer.tenant = configurations.tenant) AS in_force
FROM configurations
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::bigint IS NULL OR version < $2)
ORDER BY version DESC
LIMIT $3;

-- name: version
SELECT version, tenant, name, event::text, body, source, applied_by, written,
    (extract(epoch FROM published_at) * 1000000)::bigint AS published_at,
    version = (SELECT max(version) FROM configurations AS newer WHERE newer.tenant = configurations.tenant) AS in_force
FROM configurations
WHERE version = $1;

-- name: bodies
SELECT version, body FROM configurations WHERE version = ANY ($1::bigint[]);

-- name: versions_of_clocks
SELECT DISTINCT c.policy_version
FROM sla_clocks AS c JOIN tickets AS t ON t.id = c.ticket
WHERE t.tenant = $1 AND t.status NOT IN ('resolved', 'closed') AND c.state IN ('running', 'paused');

-- name: open_tickets
SELECT t.id::text, t.channel, t.priority, t.queue, t.team, t.organisation, t.changed_at,
    to_jsonb(t) ->> 'tier' AS tier, to_jsonb(t) ->> 'about' AS about,
    (SELECT e.source FROM timeline_entries AS e WHERE e.customer = t.customer AND e.event = t.id LIMIT 1) AS source
FROM tickets AS t
WHERE t.tenant = $1 AND t.status NOT IN ('resolved', 'closed') AND t.id > $2::uuid
ORDER BY t.id
LIMIT $3;

-- name: clocks_of
SELECT ticket::text, metric, cycle, state, policy, policy_version, target, started_at, due_at
FROM sla_clocks
WHERE ticket = ANY ($1::uuid[])
ORDER BY ticket, started_at, metric, cycle;
