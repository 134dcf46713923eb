ALTER TABLE tickets
    ADD COLUMN level         bigint NOT NULL DEFAULT 0,
    ADD COLUMN about         text,
    ADD COLUMN ticket_type   text   NOT NULL DEFAULT 'request',
    ADD COLUMN tier          text,
    ADD COLUMN fields        jsonb  NOT NULL DEFAULT '{}',
    ADD COLUMN links         jsonb  NOT NULL DEFAULT '[]',
    ADD COLUMN merged_into   uuid,
    ADD COLUMN merged        jsonb  NOT NULL DEFAULT '[]',
    ADD COLUMN accepted_at   bigint,
    ADD COLUMN handled_by    jsonb  NOT NULL DEFAULT '[]',
    ADD COLUMN concurrent_at bigint;
