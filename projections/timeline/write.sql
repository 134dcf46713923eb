-- name: add
INSERT INTO timeline_entries (
    id, event, customer, tenant, sequence, type, channel, direction, occurred_at, received_at,
    conversation, source, ticket, joined_because, actor, contact_point, subject, text, attachments, automatic,
    call, about
)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::bigint[],
    $10::bigint[], $11::text[], $12::text[], $13::uuid[], $14::text[], $15::jsonb[], $16::text[], $17::text[],
    $18::text[], $19::jsonb[], $20::text[], $21::jsonb[], $22::text[]
)
ON CONFLICT (id) DO NOTHING;

-- name: notify
SELECT pg_notify('timeline', payload) FROM unnest($1::text[]) AS payload;
