-- Dead letters that were put back. The record on the incoming topic that counts is named once a stage has taken it.
CREATE TABLE dead_letter_retries (
    letter        text        PRIMARY KEY,
    put_back_at   timestamptz NOT NULL,
    source        text,
    source_offset bigint
);
