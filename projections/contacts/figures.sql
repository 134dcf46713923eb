-- name: tally
WITH terms AS (
    SELECT * FROM unnest($10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::text[], $15::text[])
        AS terms (tenant, queue, answer_within, short_abandon, team, organisation)
),
turns AS (
    SELECT
        tenant, queue, c.channel, c.outcome, c.waited, c.talked, c.held, c.wrapped_up, c.transferred,
        c.organisation AS answered_by, c.to_organisation, c.by_vendor,
        -- Who answered; of what nobody answered, who the queue is given to.
        CASE WHEN c.outcome = 'answered' THEN c.team ELSE t.team END AS team,
        CASE WHEN c.outcome = 'answered' THEN c.organisation ELSE t.organisation END AS organisation,
        coalesce(t.answer_within, $8) AS answer_within,
        coalesce(t.short_abandon, $9) AS short_abandon,
        queue IS NOT NULL AND c.waited IS NOT NULL AND c.outcome <> 'waiting' AS counts,
        c.outcome = 'answered' AND c.talked IS NOT NULL AS handled
    FROM contacts AS c LEFT JOIN terms AS t USING (tenant, queue)
    WHERE c.offered_at >= $1 AND c.offered_at < $2
)
SELECT
    tenant,
    CASE $3::text WHEN 'queue' THEN queue WHEN 'team' THEN team WHEN 'organisation' THEN organisation
        WHEN 'channel' THEN channel END AS name,
    queue,
    count(*) FILTER (WHERE counts AND outcome = 'answered') AS answered,
    count(*) FILTER (WHERE counts AND outcome = 'abandoned') AS abandoned,
    count(*) FILTER (WHERE counts AND outcome = 'answered' AND waited <= answer_within) AS answered_within,
    count(*) FILTER (WHERE counts AND outcome = 'abandoned' AND waited <= answer_within) AS abandoned_within,
    count(*) FILTER (WHERE counts AND outcome = 'abandoned' AND waited < short_abandon) AS abandoned_short,
    count(*) FILTER (WHERE counts AND outcome = 'left') AS "left",
    count(*) FILTER (WHERE counts AND outcome = 'called_back') AS called_back,
    count(*) FILTER (WHERE counts AND outcome = 'called_back' AND waited <= answer_within) AS called_back_within,
    coalesce(sum(waited) FILTER (WHERE counts AND outcome = 'answered'), 0)::bigint AS waited,
    count(*) FILTER (WHERE handled) AS handled,
    coalesce(sum(talked) FILTER (WHERE handled), 0)::bigint AS talked,
    coalesce(sum(held) FILTER (WHERE handled), 0)::bigint AS held,
    coalesce(sum(wrapped_up) FILTER (WHERE handled), 0)::bigint AS wrapped_up,
    count(*) FILTER (WHERE handled AND transferred) AS transferred,
    count(*) FILTER (WHERE handled AND transferred AND answered_by <> to_organisation) AS transferred_out,
    count(*) FILTER (WHERE queue IS NOT NULL AND outcome = 'waiting') AS waiting,
    count(*) FILTER (WHERE queue IS NOT NULL AND outcome <> 'waiting' AND waited IS NULL) AS wait_unknown,
    count(*) FILTER (WHERE queue IS NULL) AS not_queued,
    count(*) FILTER (WHERE outcome = 'answered' AND NOT handled) AS talk_unknown,
    count(*) FILTER (WHERE handled AND wrapped_up IS NULL) AS wrap_up_unknown,
    count(*) FILTER (WHERE counts AND by_vendor LIKE '%waited%') AS vendor_waits,
    count(*) FILTER (WHERE handled AND by_vendor ~ 'talked|held') AS vendor_talks
FROM turns
WHERE ($4::text IS NULL OR tenant = $4)
    AND ($5::text IS NULL OR queue = $5)
    AND ($6::text IS NULL OR organisation = $6)
    AND ($7::text IS NULL OR team = $7)
    AND ($16::text IS NULL OR channel = $16)
GROUP BY 1, 2, 3
ORDER BY 1, 2 NULLS LAST, 3 NULLS LAST;

-- name: customers
-- Contacts of a period, each counted where it was last; ``recent``: those whose window is still open.
SELECT
    c.tenant,
    CASE $3::text WHEN 'queue' THEN final.queue WHEN 'team' THEN final.team WHEN 'organisation' THEN final.organisation
        WHEN 'channel' THEN c.channel END AS name,
    count(*) AS contacts,
    count(*) FILTER (WHERE c.offered_at > $8) AS recent
FROM contacts AS c
JOIN LATERAL (
    SELECT
        turn.queue,
        CASE WHEN turn.outcome = 'answered' THEN turn.team ELSE given.team END AS team,
        CASE WHEN turn.outcome = 'answered' THEN turn.organisation ELSE given.organisation END AS organisation
    FROM contacts AS turn
    LEFT JOIN unnest($10::text[], $11::text[], $12::text[]) AS given (queue, team, organisation) USING (queue)
    WHERE turn.id = c.id AND turn.first = c.number
    ORDER BY turn.number DESC
    LIMIT 1
) AS final ON true
WHERE c.began = 'offered' AND c.direction = 'inbound' AND c.offered_at >= $1 AND c.offered_at < $2
    AND c.tenant = $4
    AND ($5::text IS NULL OR final.queue = $5)
    AND ($6::text IS NULL OR final.organisation = $6)
    AND ($7::text IS NULL OR final.team = $7)
    AND ($9::text IS NULL OR c.channel = $9)
GROUP BY 1, 2
ORDER BY 2 NULLS LAST;

-- name: returning
-- The contacts, from the begin of the period to one window after its end, of customers who had more than one for the
-- same reason; and in the period those with a ticket. Each with who had it last.
SELECT
    c.id::text AS id, c.number, c.tenant, c.customer::text AS customer, coalesce(c.about, '') AS about, c.offered_at,
    c.ticket::text AS ticket, c.channel, final.queue, final.team, final.organisation, final.person
FROM (
    SELECT *, count(*) OVER (PARTITION BY customer, about) AS times
    FROM contacts
    WHERE began = 'offered' AND direction = 'inbound' AND offered_at >= $1 AND offered_at < $2 + $3::bigint
        AND tenant = $4
) AS c
JOIN LATERAL (
    SELECT
        turn.queue, turn.person,
        CASE WHEN turn.outcome = 'answered' THEN turn.team ELSE given.team END AS team,
        CASE WHEN turn.outcome = 'answered' THEN turn.organisation ELSE given.organisation END AS organisation
    FROM contacts AS turn
    LEFT JOIN unnest($5::text[], $6::text[], $7::text[]) AS given (queue, team, organisation) USING (queue)
    WHERE turn.id = c.id AND turn.first = c.number
    ORDER BY turn.number DESC
    LIMIT 1
) AS final ON true
WHERE c.times > 1 OR (c.offered_at < $2 AND c.ticket IS NOT NULL)
ORDER BY c.customer, c.about, c.offered_at, c.id, c.number;

-- name: roots
-- Each ticket, and the one that goes on for it: itself, unless it was merged.
WITH RECURSIVE trail AS (
    SELECT id, id AS root, merged_into FROM tickets WHERE id = ANY ($1::uuid[])
    UNION
    SELECT trail.id, target.id, target.merged_into FROM trail JOIN tickets AS target ON target.id = trail.merged_into
)
SELECT id::text AS id, root::text AS root FROM trail WHERE merged_into IS NULL;

-- name: tickets
SELECT
    t.id::text AS id, t.resolved_at, t.reopened,
    greatest(
        jsonb_array_length(t.conversations),
        (SELECT count(*) FROM contacts AS one WHERE one.ticket = t.id AND one.began = 'offered')
    )::integer AS contacts,
    ARRAY(
        SELECT turn.organisation FROM contacts AS turn
        WHERE turn.ticket = t.id AND turn.outcome = 'answered'
        ORDER BY turn.offered_at, turn.id, turn.number
    ) || ARRAY(SELECT one ->> 'organisation' FROM jsonb_array_elements(t.handled_by) AS one) AS organisations
FROM tickets AS t
WHERE t.id = ANY ($1::uuid[]);

-- name: bundles
SELECT DISTINCT ON (tenant) tenant, version, body
FROM configurations
WHERE $1::text IS NULL OR tenant = $1
ORDER BY tenant, version DESC;

-- name: breaches
-- Clocks that began in a period and are breached, by the last that was said of each.
SELECT * FROM (
    SELECT DISTINCT ON (ticket, metric, cycle) tenant, metric, cycle, outcome, target, evidence, ticket
    FROM sla_verdicts
    WHERE outcome IN ('breached', 'ended', 'retracted') AND started_at >= $1 AND started_at < $2
        AND ($3::text IS NULL OR tenant = $3)
    ORDER BY ticket, metric, cycle, revision DESC
) AS said
WHERE outcome <> 'retracted';
