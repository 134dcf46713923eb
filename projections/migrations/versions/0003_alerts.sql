-- Instants are microseconds since 1970, like everywhere on the topics.

-- The highest revision read of each clock that ever had an alert, so that repeats change nothing.
CREATE TABLE alert_clocks (
    id       uuid   PRIMARY KEY,
    revision bigint NOT NULL
);

-- One row per alert; the id is made of the columns from ticket to episode.
CREATE TABLE alerts (
    id        uuid    PRIMARY KEY,
    clock     uuid    NOT NULL,
    tenant    text    NOT NULL,
    ticket    uuid    NOT NULL,
    metric    text    NOT NULL,
    cycle     bigint  NOT NULL,
    kind      text    NOT NULL,
    threshold integer NOT NULL,
    episode   bigint  NOT NULL,
    -- Why nobody is told of it; null where somebody is.
    quiet     text,
    opened_at bigint  NOT NULL,
    opened    jsonb   NOT NULL,
    closed_at bigint,
    closed    jsonb,
    because   text
);

CREATE INDEX alerts_by_clock ON alerts (clock);

CREATE INDEX alerts_by_ticket ON alerts (ticket);

-- One row per alert and receiver: what it accepted (given), what may have reached it (perhaps), and when to look again.
CREATE TABLE alert_deliveries (
    alert        uuid    NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    receiver     text    NOT NULL,
    state        text    NOT NULL,
    given        text    NOT NULL,
    perhaps      text    NOT NULL,
    because      text,
    attempts     integer NOT NULL,
    next_at      bigint,
    leased_until bigint  NOT NULL DEFAULT 0,
    reason       text,
    detail       text,
    opened_at    bigint,
    resolved_at  bigint,
    PRIMARY KEY (alert, receiver)
);

CREATE INDEX alert_deliveries_due ON alert_deliveries (receiver, state, next_at) WHERE next_at IS NOT NULL;

CREATE INDEX alert_deliveries_parked ON alert_deliveries (receiver) WHERE state = 'parked';

CREATE TABLE alert_positions (
    topic     text    NOT NULL,
    partition integer NOT NULL,
    next      bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);
