-- Instants are microseconds since 1970 in UTC and durations are microseconds, the same integers as on the log.

CREATE TABLE timeline_entries (
    id            uuid    PRIMARY KEY,
    event         uuid    NOT NULL,
    customer      uuid    NOT NULL,
    tenant        text    NOT NULL,
    sequence      bigint  NOT NULL,
    type          text    NOT NULL,
    channel       text    NOT NULL,
    direction     text    NOT NULL,
    occurred_at   bigint  NOT NULL,
    received_at   bigint  NOT NULL,
    conversation  text    NOT NULL,
    source        text    NOT NULL,
    ticket        uuid,
    joined_because text,
    actor         jsonb,
    contact_point text,
    subject       text,
    text          text,
    attachments   jsonb,
    automatic     text
);

-- A page of a customer's history, newest or oldest first.
CREATE INDEX timeline_entries_by_time ON timeline_entries (customer, occurred_at DESC, id DESC);

-- What a live reader has not seen yet.
CREATE INDEX timeline_entries_by_sequence ON timeline_entries (customer, sequence);

CREATE TABLE tickets (
    id            uuid    PRIMARY KEY,
    tenant        text    NOT NULL,
    customer      uuid    NOT NULL,
    version       bigint  NOT NULL,
    status        text    NOT NULL,
    priority      text    NOT NULL,
    channel       text    NOT NULL,
    opened_at     bigint  NOT NULL,
    changed_at    bigint  NOT NULL,
    cause         text    NOT NULL,
    subject       text,
    queue         text,
    team          text,
    organisation  text,
    person        text,
    conversations jsonb   NOT NULL,
    resolved_at   bigint,
    closed_at     bigint,
    reopened      bigint  NOT NULL,
    interactions  bigint  NOT NULL,
    follows       uuid,
    tags          jsonb   NOT NULL,
    -- The earliest due time of the clocks that run, kept or missed: what needs a person next.
    next_due_at   bigint
);

CREATE INDEX tickets_by_opening ON tickets (opened_at DESC, id DESC);

CREATE INDEX tickets_by_status ON tickets (status, opened_at DESC, id DESC);

CREATE INDEX tickets_by_customer ON tickets (customer, opened_at DESC, id DESC);

CREATE INDEX tickets_by_team ON tickets (team, opened_at DESC, id DESC);

CREATE INDEX tickets_by_organisation ON tickets (organisation, opened_at DESC, id DESC);

CREATE INDEX tickets_by_due ON tickets (next_due_at, opened_at, id) WHERE status NOT IN ('resolved', 'closed');

CREATE TABLE sla_clocks (
    ticket         uuid   NOT NULL,
    metric         text   NOT NULL,
    cycle          bigint NOT NULL,
    state          text   NOT NULL,
    policy         text   NOT NULL,
    policy_version bigint NOT NULL,
    calendar       text   NOT NULL,
    target         bigint NOT NULL,
    elapsed        bigint NOT NULL,
    started_at     bigint NOT NULL,
    due_at         bigint,
    ended_at       bigint,
    breached_at    bigint,
    warned         jsonb  NOT NULL,
    PRIMARY KEY (ticket, metric, cycle)
);

CREATE INDEX sla_clocks_due ON sla_clocks (due_at) WHERE state = 'running';

CREATE TABLE sla_verdicts (
    id              uuid   PRIMARY KEY,
    tenant          text   NOT NULL,
    customer        uuid   NOT NULL,
    ticket          uuid   NOT NULL,
    metric          text   NOT NULL,
    cycle           bigint NOT NULL,
    outcome         text   NOT NULL,
    revision        bigint NOT NULL,
    episode         bigint NOT NULL,
    target          bigint NOT NULL,
    elapsed         bigint NOT NULL,
    started_at      bigint NOT NULL,
    judged_at       bigint NOT NULL,
    policy          text   NOT NULL,
    policy_version  bigint NOT NULL,
    calendar        text   NOT NULL,
    calendar_digest text   NOT NULL,
    boundary        text   NOT NULL,
    cause           text   NOT NULL,
    due_at          bigint,
    threshold       bigint,
    ended_at        bigint,
    priority        text,
    channel         text,
    subject         text,
    team            text,
    organisation    text,
    quiet           text,
    evidence        jsonb  NOT NULL
);

CREATE INDEX sla_verdicts_by_ticket ON sla_verdicts (ticket, judged_at, metric, cycle, revision);

-- The offset each partition of a topic is to be read from next; moved in the transaction that writes the rows.
CREATE TABLE projector_positions (
    topic     text    NOT NULL,
    partition integer NOT NULL,
    next      bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);
