"""What the reading API answers with, field by field, made from the records of the log.

Instants are RFC 3339 in UTC with six decimals; durations are seconds, in fields that end in ``_seconds``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, Field

from projections.customers import store as customers
from runtime.clock import SECOND
from schemas import records

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))


def when(at: int) -> datetime:
    """An instant in microseconds as a datetime; beyond the years 1 to 9999, the nearest that can be written."""
    return _EPOCH + timedelta(microseconds=min(max(at, _FIRST), _LAST))


def written(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def instant(at: int) -> str:
    return written(when(at))


def instant_or_none(at: int | None) -> str | None:
    return None if at is None else instant(at)


class Actor(BaseModel):
    """Who did it."""

    kind: str = Field(description="customer, agent, bot or system")
    id: str | None
    team: str | None
    organisation: str | None
    site: str | None

    @classmethod
    def of(cls, actor: records.Actor) -> Self:
        return cls(kind=actor.kind, id=actor.id, team=actor.team, organisation=actor.organisation, site=actor.site)


class Attachment(BaseModel):
    """A file that came along; ``size`` in bytes."""

    name: str
    media_type: str
    size: int
    sha256: str | None
    where: str


class TimelineEntry(BaseModel):
    """One line of a customer's history."""

    id: str
    event: str
    tenant: str
    customer: str
    sequence: int = Field(description="Rises with each entry of the customer, in order of arrival.")
    type: str
    channel: str
    direction: str
    occurred_at: Instant
    received_at: Instant
    conversation: str
    source: str
    ticket: str | None
    joined_because: str | None
    actor: Actor | None
    contact_point: str | None
    subject: str | None
    text: str | None
    attachments: list[Attachment]
    automatic: str | None = Field(description="Why no person wrote it, else null.")

    @classmethod
    def of(cls, entry: records.TimelineEntryAdded) -> Self:
        return cls(
            id=entry.id,
            event=entry.event,
            tenant=entry.tenant,
            customer=entry.customer,
            sequence=entry.sequence,
            type=entry.type,
            channel=entry.channel,
            direction=entry.direction,
            occurred_at=instant(entry.occurred_at),
            received_at=instant(entry.received_at),
            conversation=entry.conversation,
            source=entry.source,
            ticket=entry.ticket,
            joined_because=entry.joined_because,
            actor=Actor.of(entry.actor) if entry.actor else None,
            contact_point=entry.contact_point,
            subject=entry.subject,
            text=entry.text,
            attachments=[
                Attachment(name=a.name, media_type=a.media_type, size=a.size, sha256=a.sha256, where=a.where)
                for a in entry.attachments
            ],
            automatic=entry.automatic,
        )


class Timeline(BaseModel):
    """A page of a customer's history. ``customer`` is the id that counts, if the one asked for was merged into it."""

    customer: str
    entries: list[TimelineEntry]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


class Clock(BaseModel):
    """One cycle of one promise. ``elapsed_seconds`` as of the ticket's ``changed_at``."""

    metric: str
    cycle: int
    state: str = Field(description="running, paused, met, breached_running, breached or cancelled")
    policy: str
    policy_version: int
    calendar: str
    target_seconds: float
    elapsed_seconds: float
    started_at: Instant
    due_at: Instant | None
    ended_at: Instant | None
    breached_at: Instant | None
    warned: list[int] = Field(description="Warnings announced, in percent of the target.")

    @classmethod
    def of(cls, clock: records.Clock) -> Self:
        return cls(
            metric=clock.metric,
            cycle=clock.cycle,
            state=clock.state,
            policy=clock.policy,
            policy_version=clock.policy_version,
            calendar=clock.calendar,
            target_seconds=clock.target / SECOND,
            elapsed_seconds=clock.elapsed / SECOND,
            started_at=instant(clock.started_at),
            due_at=instant_or_none(clock.due_at),
            ended_at=instant_or_none(clock.ended_at),
            breached_at=instant_or_none(clock.breached_at),
            warned=clock.warned,
        )


class Link(BaseModel):
    """A ticket's link to another."""

    kind: str = Field(description="parent (the other one is above it), duplicate or caused_by")
    ticket: str
    linked_at: Instant


class Handling(BaseModel):
    """An organisation or team that acted on a ticket: from when to when, and how often."""

    organisation: str | None
    team: str | None
    first_at: Instant
    last_at: Instant
    actions: int

    @classmethod
    def of(cls, handling: records.Handling) -> Self:
        return cls(
            organisation=handling.organisation,
            team=handling.team,
            first_at=instant(handling.first_at),
            last_at=instant(handling.last_at),
            actions=handling.actions,
        )


class Ticket(BaseModel):
    """A ticket as it stands, with its clocks."""

    id: str
    tenant: str
    customer: str
    version: int
    status: str
    priority: str
    channel: str
    opened_at: Instant
    changed_at: Instant
    cause: str = Field(description="The event that the last change came from, `time`, or `rule:` and the rule's name.")
    subject: str | None
    queue: str | None
    team: str | None
    organisation: str | None
    person: str | None
    conversations: list[str]
    resolved_at: Instant | None
    closed_at: Instant | None
    reopened: int
    interactions: int
    follows: str | None
    tags: list[str]
    clocks: list[Clock]
    ticket_type: str = Field(description="request or task")
    level: int = Field(description="How far it was escalated; 0 for not at all.")
    about: str | None = Field(description="Its subject matter, `name=value`, where it is known.")
    tier: str | None = Field(description="The customer's, as a system of record told it last.")
    fields: dict[str, str]
    links: list[Link]
    merged_into: str | None = Field(description="The ticket that goes on for this one.")
    merged: list[str] = Field(description="The tickets that this one goes on for.")
    accepted_at: Instant | None = Field(description="When it was taken on by whom it was given to last.")
    handled_by: list[Handling]
    concurrent_at: Instant | None = Field(
        description="When it was last acted on by an organisation or team shortly after another, without a hand-over."
    )

    @classmethod
    def of(cls, ticket: records.TicketChanged) -> Self:
        return cls(
            id=ticket.id,
            tenant=ticket.tenant,
            customer=ticket.customer,
            version=ticket.version,
            status=ticket.status,
            priority=ticket.priority,
            channel=ticket.channel,
            opened_at=instant(ticket.opened_at),
            changed_at=instant(ticket.changed_at),
            cause=ticket.cause,
            subject=ticket.subject,
            queue=ticket.queue,
            team=ticket.team,
            organisation=ticket.organisation,
            person=ticket.person,
            conversations=ticket.conversations,
            resolved_at=instant_or_none(ticket.resolved_at),
            closed_at=instant_or_none(ticket.closed_at),
            reopened=ticket.reopened,
            interactions=ticket.interactions,
            follows=ticket.follows,
            tags=ticket.tags,
            clocks=[Clock.of(clock) for clock in ticket.clocks],
            ticket_type=ticket.ticket_type,
            level=ticket.level,
            about=ticket.about,
            tier=ticket.tier,
            fields=ticket.fields,
            links=[Link(kind=e.kind, ticket=e.ticket, linked_at=instant(e.linked_at)) for e in ticket.links],
            merged_into=ticket.merged_into,
            merged=ticket.merged,
            accepted_at=instant_or_none(ticket.accepted_at),
            handled_by=[Handling.of(each) for each in ticket.handled_by],
            concurrent_at=instant_or_none(ticket.concurrent_at),
        )


class Tickets(BaseModel):
    """A page of tickets, the last opened first."""

    tickets: list[Ticket]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


class ContactPoint(BaseModel):
    """An address of a customer, with why and when it was linked to them."""

    tenant: str
    kind: str
    value: str
    verified: bool
    linked_because: str
    linked_at: Instant

    @classmethod
    def of(cls, point: customers.ContactPoint) -> Self:
        return cls(
            tenant=point.tenant,
            kind=point.kind,
            value=point.value,
            verified=point.verified,
            linked_because=point.linked_because,
            linked_at=written(point.linked_at),
        )


class Customer(BaseModel):
    """A customer with their contact points and open tickets (at most 100, the last opened first)."""

    id: str = Field(description="The id that counts: another than the one asked for, if that was merged into it.")
    tenant: str | None
    created_at: Instant | None
    contact_points: list[ContactPoint]
    open_tickets: list[Ticket]


class Match(BaseModel):
    """A customer found by a contact point."""

    id: str
    contact_point: ContactPoint


class Matches(BaseModel):
    """The customers that a contact point belongs to; none if nobody is known by it."""

    customers: list[Match]
