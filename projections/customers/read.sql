-- name: customer
WITH RECURSIVE trail (id, depth) AS (
    SELECT $1::uuid, 0
    UNION ALL
    SELECT customers.alias_of, trail.depth + 1
    FROM trail JOIN customers ON customers.id = trail.id
    WHERE customers.alias_of IS NOT NULL AND trail.depth < 16
)
SELECT trail.id, customers.tenant, customers.created_at,
    customers.id IS NOT NULL OR EXISTS (SELECT FROM timeline_entries WHERE customer = trail.id) AS known
FROM trail LEFT JOIN customers ON customers.id = trail.id
ORDER BY trail.depth DESC
LIMIT 1;

-- name: contact_points
SELECT * FROM contact_points WHERE customer = $1 ORDER BY linked_at, kind, value;

-- name: by_contact
SELECT contact_points.*
FROM contact_points
WHERE value = ANY ($1::text[])
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR tenant = $3)
    AND NOT shared
ORDER BY linked_at, tenant, kind, value
LIMIT $4;
