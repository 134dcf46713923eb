-- name: add
INSERT INTO sla_verdicts (
    id, tenant, customer, ticket, metric, cycle, outcome, revision, episode, target, elapsed, started_at, judged_at,
    policy, policy_version, calendar, calendar_digest, boundary, cause, due_at, threshold, ended_at, priority, channel,
    subject, team, organisation, quiet, evidence, person, queue
)
SELECT * FROM unnest(
    $1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bigint[], $16::text[], $17::text[],
    $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::bigint[], $23::text[], $24::text[], $25::text[],
    $26::text[], $27::text[], $28::text[], $29::jsonb[], $30::text[], $31::text[]
)
ON CONFLICT (id) DO NOTHING;
