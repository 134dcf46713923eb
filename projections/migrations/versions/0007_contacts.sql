ALTER TABLE timeline_entries ADD COLUMN call jsonb, ADD COLUMN about text;

-- A call or chat is measured anew from its entries when one is added. Names of conversations may be of any length.
CREATE INDEX timeline_entries_of_contacts ON timeline_entries USING hash (conversation)
WHERE type LIKE 'call%' OR type LIKE 'chat.%';

-- A turn of a call or chat: the time in one queue and the talk that came of it. Durations are null where nothing tells
-- them. id stands for tenant and conversation; first is the number of the turn with which the customer's contact began.
CREATE TABLE contacts (
    id              uuid    NOT NULL,
    number          integer NOT NULL,
    first           integer NOT NULL,
    tenant          text    NOT NULL,
    customer        uuid    NOT NULL,
    conversation    text    NOT NULL,
    began           text    NOT NULL,
    outcome         text    NOT NULL,
    channel         text    NOT NULL,
    direction       text    NOT NULL,
    offered_at      bigint  NOT NULL,
    queue           text,
    queued_at       bigint,
    answered_at     bigint,
    ended_at        bigint,
    waited          bigint,
    talked          bigint,
    held            bigint,
    wrapped_up      bigint,
    person          text,
    team            text,
    organisation    text,
    transferred     boolean NOT NULL,
    to_person       text,
    to_team         text,
    to_organisation text,
    about           text,
    ticket          uuid,
    by_vendor       text    NOT NULL,
    PRIMARY KEY (id, number)
);

-- What was offered in a period.
CREATE INDEX contacts_by_offer ON contacts (offered_at);

-- Whether a customer came back for the same reason.
CREATE INDEX contacts_by_customer ON contacts (tenant, customer, offered_at);

-- The contacts of a ticket.
CREATE INDEX contacts_by_ticket ON contacts (ticket) WHERE ticket IS NOT NULL;

-- The breached promises of a period.
CREATE INDEX sla_verdicts_breached ON sla_verdicts (started_at) WHERE outcome IN ('breached', 'ended', 'retracted');
