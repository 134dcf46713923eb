-- name: lock
SELECT pg_advisory_xact_lock($1, bucket) FROM unnest($2::integer[]) AS bucket;

-- name: entries
SELECT id, customer, tenant, type, channel, direction, occurred_at, received_at, conversation, ticket, actor, call, about
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, conversation)
JOIN timeline_entries USING (tenant, conversation)
WHERE type LIKE 'call%' OR type LIKE 'chat.%';

-- name: put
INSERT INTO contacts (
    id, number, first, tenant, customer, conversation, began, outcome, channel, direction, offered_at, queue, queued_at,
    answered_at, ended_at, waited, talked, held, wrapped_up, person, team, organisation, transferred, to_person,
    to_team, to_organisation, about, ticket, by_vendor
)
SELECT * FROM unnest(
    $1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
    $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::text[], $22::text[], $23::boolean[], $24::text[],
    $25::text[], $26::text[], $27::text[], $28::uuid[], $29::text[]
)
ON CONFLICT (id, number) DO UPDATE SET
    first = excluded.first,
    customer = excluded.customer,
    began = excluded.began,
    outcome = excluded.outcome,
    channel = excluded.channel,
    direction = excluded.direction,
    offered_at = excluded.offered_at,
    queue = excluded.queue,
    queued_at = excluded.queued_at,
    answered_at = excluded.answered_at,
    ended_at = excluded.ended_at,
    waited = excluded.waited,
    talked = excluded.talked,
    held = excluded.held,
    wrapped_up = excluded.wrapped_up,
    person = excluded.person,
    team = excluded.team,
    organisation = excluded.organisation,
    transferred = excluded.transferred,
    to_person = excluded.to_person,
    to_team = excluded.to_team,
    to_organisation = excluded.to_organisation,
    about = excluded.about,
    ticket = excluded.ticket,
    by_vendor = excluded.by_vendor
WHERE contacts.* IS DISTINCT FROM excluded.*;

-- name: drop_further
DELETE FROM contacts AS held
USING unnest($1::uuid[], $2::integer[]) AS measured (id, turns)
WHERE held.id = measured.id AND held.number > measured.turns;
