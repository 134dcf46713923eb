-- name: decisions
SELECT source_offset, event::text, customer::text, contact_point, reason, detail
FROM identity_decisions
WHERE source = $1 AND source_offset BETWEEN $2 AND $3;

-- name: by_event
SELECT DISTINCT ON (decided.event) decided.event::text, coalesce(held.alias_of, held.id)::text AS customer
FROM identity_decisions AS decided
JOIN customers AS held ON held.id = decided.customer
WHERE decided.event = ANY ($1::uuid[])
ORDER BY decided.event, decided.decided_at;

-- name: owners
SELECT held.tenant, held.kind, held.value, coalesce(owner.alias_of, owner.id)::text AS customer, held.shared
FROM contact_points AS held
JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (tenant, kind, value) USING (tenant, kind, value)
JOIN customers AS owner ON owner.id = held.customer;

-- name: customers
SELECT id::text, coalesce(alias_of, id)::text AS customer FROM customers WHERE id = ANY ($1::uuid[]);
