-- name: put
INSERT INTO tickets (
    id, tenant, customer, version, status, priority, channel, opened_at, changed_at, cause, subject, queue, team,
    organisation, person, conversations, resolved_at, closed_at, reopened, interactions, follows, tags, next_due_at,
    level, about, ticket_type, tier, fields, links, merged_into, merged, accepted_at, handled_by, concurrent_at
)
SELECT * FROM unnest(
    $1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::jsonb[], $17::bigint[],
    $18::bigint[], $19::bigint[], $20::bigint[], $21::uuid[], $22::jsonb[], $23::bigint[],
    $24::bigint[], $25::text[], $26::text[], $27::text[], $28::jsonb[], $29::jsonb[], $30::uuid[], $31::jsonb[],
    $32::bigint[], $33::jsonb[], $34::bigint[]
)
ON CONFLICT (id) DO UPDATE SET
    tenant = excluded.tenant,
    customer = excluded.customer,
    version = excluded.version,
    status = excluded.status,
    priority = excluded.priority,
    channel = excluded.channel,
    opened_at = excluded.opened_at,
    changed_at = excluded.changed_at,
    cause = excluded.cause,
    subject = excluded.subject,
    queue = excluded.queue,
    team = excluded.team,
    organisation = excluded.organisation,
    person = excluded.person,
    conversations = excluded.conversations,
    resolved_at = excluded.resolved_at,
    closed_at = excluded.closed_at,
    reopened = excluded.reopened,
    interactions = excluded.interactions,
    follows = excluded.follows,
    tags = excluded.tags,
    next_due_at = excluded.next_due_at,
    level = excluded.level,
    about = excluded.about,
    ticket_type = excluded.ticket_type,
    tier = excluded.tier,
    fields = excluded.fields,
    links = excluded.links,
    merged_into = excluded.merged_into,
    merged = excluded.merged,
    accepted_at = excluded.accepted_at,
    handled_by = excluded.handled_by,
    concurrent_at = excluded.concurrent_at
WHERE tickets.version < excluded.version
RETURNING id;

-- name: drop_clocks
DELETE FROM sla_clocks WHERE ticket = ANY ($1::uuid[]);

-- name: put_clocks
INSERT INTO sla_clocks (
    ticket, metric, cycle, state, policy, policy_version, calendar, target, elapsed, started_at, due_at, ended_at,
    breached_at, warned
)
SELECT * FROM unnest(
    $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::jsonb[]
);
