-- Instants are microseconds since 1970, like everywhere on the topics. A queue of '' means any, a conversation of '' that
-- the stream is all of its source.

CREATE TABLE source_positions (
    topic     text    NOT NULL,
    partition integer NOT NULL,
    next      bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- The ids of the events at the last offsets of each partition, 16 bytes each from first_offset on, zeros where there was
-- none: what is here is a repeat and counts no second time.
CREATE TABLE source_recent (
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    first_offset bigint  NOT NULL,
    next_offset  bigint  NOT NULL,
    ids          bytea   NOT NULL,
    PRIMARY KEY (topic, partition, first_offset)
);

-- first_at and last_at: when Kafka took the first and the last event; last_occurred_at: the latest at the source.
CREATE TABLE sources (
    tenant           text   NOT NULL,
    source           text   NOT NULL,
    events           bigint NOT NULL,
    first_at         bigint NOT NULL,
    last_at          bigint NOT NULL,
    last_occurred_at bigint NOT NULL,
    PRIMARY KEY (tenant, source)
);

-- What was received, by the quarter of an hour in which it occurred.
CREATE TABLE source_received (
    tenant  text   NOT NULL,
    source  text   NOT NULL,
    type    text   NOT NULL,
    queue   text   NOT NULL,
    quarter bigint NOT NULL,
    events  bigint NOT NULL,
    PRIMARY KEY (tenant, source, quarter, type, queue)
);

CREATE INDEX source_received_by_quarter ON source_received (quarter);

-- What a source said it sent in a span.
CREATE TABLE source_stated (
    tenant text   NOT NULL,
    source text   NOT NULL,
    type   text   NOT NULL,
    queue  text   NOT NULL,
    since  bigint NOT NULL,
    until  bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (tenant, source, until, since, type, queue)
);

CREATE INDEX source_stated_by_end ON source_stated (until);

-- The last reading of a source's meter.
CREATE TABLE source_meters (
    tenant text   NOT NULL,
    source text   NOT NULL,
    type   text   NOT NULL,
    queue  text   NOT NULL,
    until  bigint NOT NULL,
    total  bigint NOT NULL,
    PRIMARY KEY (tenant, source, type, queue)
);

-- One row per stream of numbers: which came, and in gaps which did not, as [[first, last, since], …].
CREATE TABLE source_streams (
    tenant       text   NOT NULL,
    source       text   NOT NULL,
    conversation text   NOT NULL,
    lowest       bigint NOT NULL,
    highest      bigint NOT NULL,
    missing      bigint NOT NULL,
    gaps         jsonb  NOT NULL,
    untold       bigint NOT NULL,
    told_from    bigint NOT NULL,
    last_at      bigint NOT NULL,
    PRIMARY KEY (tenant, source, conversation)
);

CREATE INDEX source_streams_open ON source_streams (tenant, source) WHERE missing > 0;

CREATE INDEX source_streams_by_age ON source_streams (last_at);
