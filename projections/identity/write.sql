-- name: add_customers
INSERT INTO customers (id, tenant, created_at, first_contact_kind, first_contact_value)
SELECT id, tenant, to_timestamp(at / 1000000.0), kind, value
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS fresh (id, tenant, at, kind, value)
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: add_contact_points
INSERT INTO contact_points (tenant, kind, value, customer, verified, linked_because, linked_at, event)
SELECT tenant, kind, value, customer, verified, because, to_timestamp(at / 1000000.0), event
FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::boolean[], $6::text[], $7::bigint[], $8::uuid[])
    AS fresh (tenant, kind, value, customer, verified, because, at, event)
ORDER BY tenant, kind, value
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: add_decisions
INSERT INTO identity_decisions
    (source, source_offset, event, customer, contact_point, reason, detail, decided_at)
SELECT $1, source_offset, event, customer, contact_point, reason, detail::jsonb, to_timestamp($8 / 1000000.0)
FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[])
    AS fresh (source_offset, event, customer, contact_point, reason, detail)
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: add_suggestions
INSERT INTO identity_suggestions (tenant, event, customers, evidence, at)
SELECT tenant, event, string_to_array(customers, ',')::uuid[], evidence::jsonb, to_timestamp($5 / 1000000.0)
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) AS fresh (tenant, event, customers, evidence)
ON CONFLICT DO NOTHING;

-- name: add_configuration
INSERT INTO configurations (tenant, name, event, body, published_at, source, applied_by, written)
VALUES ($1, $2, $3, $4, to_timestamp($5 / 1000000.0), $6, $7, $8)
ON CONFLICT (event) DO UPDATE SET event = excluded.event
RETURNING version;
