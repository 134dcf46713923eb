"""Typed records of everything that travels on a topic, one class per Avro record in ``avro/``.

Instants are integer microseconds since 1970 in UTC (Avro ``timestamp-micros``), durations are integer microseconds.
Ids are UUIDs in their 36-character form. A test keeps these classes and the Avro files equal, field by field.
"""

from __future__ import annotations

import msgspec


class ContactPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address somebody can be reached at. ``kind`` ``hub`` names a ticket or a customer of the hub itself."""

    kind: str
    value: str
    as_given: str = ""
    role: str = "customer"
    verified: bool = False


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did it. ``kind``: customer, agent, bot or system; ``organisation``: the own company or a vendor."""

    kind: str
    id: str | None = None
    team: str | None = None
    organisation: str | None = None
    site: str | None = None


class Attachment(msgspec.Struct, frozen=True):
    """A file that came along. ``size`` in bytes; ``where``: ``sha256:…`` in the blob store or the vendor's own id."""

    name: str
    media_type: str
    size: int
    sha256: str | None
    where: str


class Raw(msgspec.Struct, frozen=True):
    """The payload as it was received: ``inline`` up to 32 KiB, else ``reference`` into the blob store."""

    media_type: str
    inline: bytes | None = None
    reference: str | None = None


class CallFacts(msgspec.Struct, frozen=True, tag="call", tag_field="kind", omit_defaults=True):
    """Facts of a call. ``leg``: the vendor's id of one connection of it; ``waited``: time in queue in microseconds."""

    leg: str | None = None
    queue: str | None = None
    waited: int | None = None
    talked: int | None = None
    held: int | None = None
    cause: str | None = None
    menu: str | None = None
    transferred_to: str | None = None


class MessageFacts(msgspec.Struct, frozen=True, tag="message", tag_field="kind", omit_defaults=True):
    """Facts of a chat or social message. ``automatic``: why no person wrote it, else null."""

    message_id: str | None = None
    in_reply_to: str | None = None
    status: str | None = None
    automatic: str | None = None
    content: str | None = None


class MailFacts(msgspec.Struct, frozen=True, tag="mail", tag_field="kind", omit_defaults=True):
    """Facts of a mail. ``automatic``: why no person wrote it (``auto-submitted``, ``list``, …), else null."""

    message_id: str | None = None
    in_reply_to: str | None = None
    references: list[str] = []
    automatic: str | None = None
    mailbox: str | None = None
    defects: list[str] = []


class SurveyFacts(msgspec.Struct, frozen=True, tag="survey", tag_field="kind", omit_defaults=True):
    """A survey's answer: ``score`` on a scale from ``lowest`` to ``highest``."""

    score: int
    lowest: int = 1
    highest: int = 5
    question: str | None = None


class AgentStateFacts(msgspec.Struct, frozen=True, tag="agent_state", tag_field="kind", omit_defaults=True):
    """What an agent is doing: available, busy, wrap_up, break, offline, with the vendor's reason code."""

    state: str
    reason: str | None = None


class TicketCommand(msgspec.Struct, frozen=True, tag="ticket", tag_field="kind", omit_defaults=True):
    """What a person or a rule wants of a ticket; the event's type says which of the fields are meant.

    ``target``: the other ticket of a link or merge, ``link`` its kind: parent, duplicate or caused_by. ``level`` of an
    escalation, from 1. ``about``: the subject matter. ``fields``: custom fields to set; an empty value removes one.
    ``origin``: the conversation a new ticket is made from. ``ticket_type``: request or task.
    """

    ticket: str | None = None
    status: str | None = None
    priority: str | None = None
    queue: str | None = None
    team: str | None = None
    organisation: str | None = None
    person: str | None = None
    target: str | None = None
    tags: list[str] = []
    comment: str | None = None
    level: int | None = None
    fields: dict[str, str] = {}
    about: str | None = None
    link: str | None = None
    origin: str | None = None
    ticket_type: str | None = None


class CustomerContext(msgspec.Struct, frozen=True, tag="customer", tag_field="kind", omit_defaults=True):
    """What a system of record says of a customer."""

    tier: str | None = None
    segment: str | None = None
    orders: dict[str, str] = {}


class Configuration(msgspec.Struct, frozen=True, tag="configuration", tag_field="kind", omit_defaults=True):
    """A bundle of policies and calendars on its way in: ``name`` says which bundle, ``body`` is its YAML text."""

    name: str
    body: str


Facts = (
    CallFacts
    | MessageFacts
    | MailFacts
    | SurveyFacts
    | AgentStateFacts
    | TicketCommand
    | CustomerContext
    | Configuration
)


class InteractionReceived(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened between a customer and those who serve them, or a command about it.

    ``id`` is uuid5 of (tenant, source, native key, type), so the same delivery always gets the same id.
    ``occurred_at`` is the instant at the source, which promises count; ``received_at`` the instant at our door.
    """

    id: str
    type: str
    tenant: str
    source: str
    channel: str
    direction: str
    occurred_at: int
    received_at: int
    conversation: str
    sequence: int | None = None
    contact_points: list[ContactPoint] = []
    actor: Actor | None = None
    subject: str | None = None
    text: str | None = None
    language: str | None = None
    attachments: list[Attachment] = []
    facts: Facts | None = None
    attributes: dict[str, str] = {}
    raw: Raw | None = None


class TimeAdvanced(msgspec.Struct, frozen=True):
    """Time as an event: clocks due at or before ``now`` fire when this record is read."""

    now: int


class ConfigurationPublished(msgspec.Struct, frozen=True):
    """A bundle of policies and calendars in force from this record on. ``body`` is its canonical JSON."""

    event: str
    tenant: str
    name: str
    version: int
    published_at: int
    body: str


class TimelineEntryAdded(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a customer's history. ``sequence`` rises with each entry of the customer, in order of arrival.

    ``call``: the facts of a call, which figures of queues need. ``about``: the subject matter, where it is known.
    """

    id: str
    event: str
    tenant: str
    customer: str
    sequence: int
    type: str
    channel: str
    direction: str
    occurred_at: int
    received_at: int
    conversation: str
    source: str
    ticket: str | None = None
    joined_because: str | None = None
    actor: Actor | None = None
    contact_point: str | None = None
    subject: str | None = None
    text: str | None = None
    attachments: list[Attachment] = []
    automatic: str | None = None
    call: CallFacts | None = None
    about: str | None = None


class Clock(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cycle of one promise on a ticket.

    ``state``: running, paused, met, breached_running, breached or cancelled. ``warned``: the thresholds that were told,
    each a percent of the target or, below zero, seconds before the due.
    """

    metric: str
    cycle: int
    state: str
    policy: str
    policy_version: int
    calendar: str
    target: int
    elapsed: int
    started_at: int
    due_at: int | None = None
    ended_at: int | None = None
    breached_at: int | None = None
    warned: list[int] = []


class Link(msgspec.Struct, frozen=True):
    """A ticket's link to another. ``kind``: parent (the other one is above it), duplicate or caused_by."""

    kind: str
    ticket: str
    linked_at: int


class Handling(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who of the company and its vendors acted on a ticket, from when to when, and how often."""

    first_at: int
    last_at: int
    actions: int
    organisation: str | None = None
    team: str | None = None


class TicketChanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole state of a ticket after a change; ``version`` rises by one with each. ``id`` is its opening event's.

    ``level``: how far it was escalated, 0 for not at all. ``merged_into``: the ticket that goes on for it;
    ``merged``: those it goes on for. ``concurrent_at``: when somebody last acted on it while another party did, too.
    """

    id: str
    tenant: str
    customer: str
    version: int
    status: str
    priority: str
    channel: str
    opened_at: int
    changed_at: int
    cause: str
    subject: str | None = None
    queue: str | None = None
    team: str | None = None
    organisation: str | None = None
    person: str | None = None
    conversations: list[str] = []
    resolved_at: int | None = None
    closed_at: int | None = None
    reopened: int = 0
    interactions: int = 0
    follows: str | None = None
    tags: list[str] = []
    clocks: list[Clock] = []
    level: int = 0
    about: str | None = None
    ticket_type: str = "request"
    tier: str | None = None
    fields: dict[str, str] = {}
    links: list[Link] = []
    merged_into: str | None = None
    merged: list[str] = []
    accepted_at: int | None = None
    handled_by: list[Handling] = []
    concurrent_at: int | None = None


class Interval(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch [from, to) of a clock: ``counted`` microseconds of it are working time and belong to one owner.

    ``running`` is false where the clock stood still, whatever the calendar says. ``policy``, ``target``, ``calendar``,
    ``calendar_digest`` and ``boundary``: what was promised then, null where it is what the verdict names;
    an empty ``policy`` where nothing was promised.
    """

    begin: int
    end: int
    counted: int
    began_by: str
    ended_by: str
    state: str
    team: str | None = None
    organisation: str | None = None
    person: str | None = None
    running: bool = True
    queue: str | None = None
    policy: str | None = None
    target: int | None = None
    calendar: str | None = None
    calendar_digest: str | None = None
    boundary: str | None = None


class SlaVerdictIssued(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a promise: warned, met, breached, retracted or cancelled, with the evidence to recompute it.

    ``ended`` says that a breached promise was done at last, with its final ``elapsed``; it stays breached.

    ``elapsed`` is the sum of ``counted`` over the evidence. ``revision`` numbers the verdicts of one clock from 1.
    ``episode`` rises when a verdict is retracted; ``quiet`` says why nobody is to be paged for it, else null.
    ``threshold`` of a warning: a percent of the target or, below zero, seconds before the due.
    """

    id: str
    tenant: str
    customer: str
    ticket: str
    metric: str
    cycle: int
    outcome: str
    revision: int
    episode: int
    target: int
    elapsed: int
    started_at: int
    judged_at: int
    policy: str
    policy_version: int
    calendar: str
    calendar_digest: str
    boundary: str
    cause: str
    due_at: int | None = None
    threshold: int | None = None
    ended_at: int | None = None
    priority: str | None = None
    channel: str | None = None
    subject: str | None = None
    team: str | None = None
    organisation: str | None = None
    quiet: str | None = None
    evidence: list[Interval] = []
    person: str | None = None
    queue: str | None = None


Value = (
    InteractionReceived | TimeAdvanced | ConfigurationPublished | TimelineEntryAdded | TicketChanged | SlaVerdictIssued
)
