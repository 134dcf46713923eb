"""Tickets: which one an interaction joins, and what a ticket is, as a function of its facts in order of event time.

The joining is decided once, when the event arrives, and kept in the fact with its reason; everything else is computed
anew from the facts each time, so the order of arrival can't change what a ticket becomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from domain.errors import CommandRefused, Reason
from domain.policies import PRIORITIES, STATUSES, Attributes, Bundle
from schemas.casework_state import CustomerState, Fact, TicketState
from schemas.records import CallFacts, InteractionReceived, TicketCommand

#: A customer waits for a person after one of these, unless nobody wrote it.
ASKS = frozenset(
    {
        "email.received",
        "message.received",
        "call.abandoned",
        "call.voicemail_left",
        "callback.requested",
        "chat.abandoned",
        "social.posted",
    }
)
#: A person of the company or a vendor turned to the customer.
ANSWERS = frozenset({"email.sent", "message.sent", "call.answered", "chat.accepted", "callback.completed"})
COMMANDS = frozenset(
    {
        "ticket.opened",
        "ticket.assigned",
        "ticket.escalated",
        "ticket.prioritised",
        "ticket.status_set",
        "ticket.reopened",
        "ticket.tagged",
        "note.added",
    }
)
#: What becomes of a ticket's status when its customer turns to the company again.
AFTER_CONTACT = {"open": "open", "pending": "open", "on_hold": "open", "resolved": "open", "closed": "closed"}
FINISHED = frozenset({"resolved", "closed"})
TIME = "time"


def asks(fact: Fact) -> bool:
    """Whether a customer waits for an answer after this."""
    return fact.type in ASKS and fact.direction == "inbound" and not fact.automatic and fact.actor in ("customer", "")


def answers(fact: Fact) -> bool:
    """Whether a person turned to the customer, in public."""
    return fact.type in ANSWERS and not fact.automatic and fact.actor in ("agent", "")


def order(fact: Fact) -> tuple[int, int, int, str]:
    """Facts of one instant: what stops a clock, what pauses it, what starts it; then by the source's own order."""
    rank = 2
    if answers(fact):
        rank = 0
    elif fact.command is not None and fact.type == "ticket.status_set":
        rank = 0 if fact.command.status in FINISHED else 1
    return (fact.at, rank, fact.sequence, fact.id)


class Placement(NamedTuple):
    """Where an event belongs and why. ``ticket`` is None for what concerns none; ``opens``: it begins a new one."""

    ticket: str | None
    because: str
    opens: bool = False
    follows: str | None = None


def place(fact: Fact, state: CustomerState, bundle: Bundle, named: str | None) -> Placement:
    """Decide which ticket an event joins. ``named``: the ticket it names itself (a command, a plus-address), if any.

    In order: the ticket it names; the one with its conversation; the customer's open one that was touched within the
    join window; a new one, when it asks for something. Raises ``CommandRefused`` for a command on what can't take it.
    """
    by_id = {ticket.id: ticket for ticket in state.tickets}
    if named is not None and fact.id != named:
        ticket = by_id.get(named)
        if ticket is not None and _takes(ticket, fact):
            return Placement(named, "named")
        if fact.type in COMMANDS:
            state_word = "closed" if ticket is not None else "closed and put away, or another customer's"
            raise CommandRefused(Reason.TICKET_CLOSED, f"ticket {named} is {state_word}; open a new one")
    elif fact.type in COMMANDS and fact.type != "ticket.opened":
        raise CommandRefused(Reason.MISSING_FIELD, "the command names no ticket; put its id into facts.ticket")
    follows = None
    for ticket in state.tickets:  # oldest first: what happened before one was closed is evidence for it
        if any(other.conversation == fact.conversation for other in ticket.facts):
            if _takes(ticket, fact):
                return Placement(ticket.id, "same_conversation")
            follows = ticket.id
    if fact.type == "ticket.opened":
        return Placement(fact.id, "opened_by_command", opens=True)
    if fact.automatic or (fact.type not in ASKS | ANSWERS and not fact.type.startswith(("call.", "chat.", "visit."))):
        return Placement(None, "concerns_no_ticket")
    near = [
        (abs(fact.at - ticket.facts[-1].at), ticket.id)
        for ticket in state.tickets
        if ticket.closed_at is None and abs(fact.at - ticket.facts[-1].at) <= bundle.join_window
    ]
    if near:
        return Placement(min(near)[1], "same_customer_recently")
    if asks(fact):
        return Placement(fact.id, "customer_asks", opens=True, follows=follows)
    return Placement(None, "no_open_ticket")


def _takes(ticket: TicketState, fact: Fact) -> bool:
    """A closed ticket still takes what happened before it was closed: a late event is evidence."""
    return ticket.closed_at is None or (fact.at <= ticket.closed_at and fact.type not in COMMANDS)


def check_command(event_type: str, command: TicketCommand) -> None:
    """Raise ``CommandRefused`` for a command whose words mean nothing."""
    if event_type == "ticket.status_set" and command.status not in STATUSES:
        raise CommandRefused(
            Reason.UNKNOWN_STATUS, f"status {command.status!r} is not one of {', '.join(STATUSES)}", "facts.status"
        )
    if command.priority is not None and command.priority not in PRIORITIES:
        raise CommandRefused(
            Reason.UNKNOWN_PRIORITY,
            f"priority {command.priority!r} is not one of {', '.join(PRIORITIES)}",
            "facts.priority",
        )
    if event_type == "ticket.prioritised" and command.priority is None:
        raise CommandRefused(Reason.MISSING_FIELD, "say which priority", "facts.priority")
    if event_type in ("ticket.assigned", "ticket.escalated") and not (
        command.queue or command.team or command.organisation or command.person
    ):
        raise CommandRefused(Reason.MISSING_FIELD, "say to which queue, team, organisation or person", "facts")


def fact_of(event: InteractionReceived, contact_point: str) -> Fact:
    """What promises depend on. An event can't have happened after it was received: a source's fast clock is cut off."""
    facts = event.facts
    actor = event.actor
    automatic = event.type == "email.auto_replied" or getattr(facts, "automatic", None) is not None
    return Fact(
        at=min(event.occurred_at, event.received_at),
        id=event.id,
        type=event.type,
        ticket="",
        because="",
        channel=event.channel,
        direction=event.direction,
        conversation=event.conversation,
        sequence=-1 if event.sequence is None else event.sequence,
        actor=actor.kind if actor else "",
        person=actor.id if actor and actor.kind == "agent" else None,
        team=actor.team if actor else None,
        organisation=actor.organisation if actor else None,
        automatic=automatic or (actor is not None and actor.kind in ("bot", "system")),
        contact_point=contact_point,
        command=facts if isinstance(facts, TicketCommand) else None,
        queue=facts.queue if isinstance(facts, CallFacts) else None,
    )


class Moment(NamedTuple):
    """A ticket from one instant on, until the next moment. ``by``: the event that made it so, or ``time``."""

    at: int
    by: str
    status: str
    attributes: Attributes
    person: str | None = None


@dataclass(slots=True)
class History:
    """What a ticket was and is, from its facts. ``moments`` are never empty and rise in time; ``interactions`` counts
    what was no command; ``conversations``: those it consists of, oldest first. ``facts``: what was told of it and
    of tickets merged into it, in the order of ``order``, and ``since`` from when on one of the latter counts here;
    ``merged_at``: when it was merged into another itself. ``opened_at``, ``opened_by``: where its work begins."""

    moments: list[Moment]
    first_ask: Fact | None = None
    first_answer: Fact | None = None
    reopened: int = 0
    resolved_at: int | None = None
    closed_at: int | None = None
    tags: list[str] = field(default_factory=list)
    closes_at: int | None = None
    interactions: int = 0
    conversations: dict[str, None] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)
    merged_at: int | None = None
    opened_at: int = 0
    opened_by: str = ""


def history(ticket: TicketState, tenant: str, bundle: Bundle, now: int) -> History:
    """The ticket's course up to ``now``, from its facts, which are in the order of ``order``."""
    facts = ticket.facts
    opening = next((fact for fact in facts if fact.id == ticket.id), facts[0])
    status, person, priority = "open", None, ticket.priority
    queue, team, organisation = ticket.queue, ticket.team, ticket.organisation
    told = Attributes(tenant, opening.channel, priority, ticket.source, team, organisation, queue)
    begin = Moment(facts[0].at, facts[0].id, status, told)
    found = History([begin], facts=facts, opened_at=begin.at, opened_by=begin.by)
    for fact in facts:
        if status == "resolved" and found.resolved_at is not None:
            closing = found.resolved_at + bundle.close_after
            if fact.at >= closing:
                status, found.closed_at = "closed", closing
                found.moments.append(Moment(closing, TIME, status, told, person))
        was, held, had = status, told, person
        kind = fact.type
        if kind in ASKS and asks(fact):
            if found.first_ask is None:
                found.first_ask = fact
            if status == "resolved":
                found.reopened += 1
            status = AFTER_CONTACT[status]
        elif kind in ANSWERS and found.first_answer is None and found.first_ask is not None and answers(fact):
            found.first_answer = fact
        command = fact.command
        if command is None:
            found.interactions += 1
            found.conversations[fact.conversation] = None
        elif status != "closed":
            if kind == "ticket.status_set" and command.status is not None:
                status = command.status
            elif kind == "ticket.reopened":
                status = "open"
            if kind in ("ticket.assigned", "ticket.escalated", "ticket.opened"):
                queue, team, organisation, person = _assigned(command, queue, team, organisation, person)
            priority = command.priority or priority
            found.tags = command.tags if kind == "ticket.tagged" else found.tags
            if (priority, queue, team, organisation) != (told.priority, told.queue, told.team, told.organisation):
                told = Attributes(tenant, told.channel, priority, told.source, team, organisation, queue)
        if status != was or told is not held or person != had:
            if status != was:
                _note_status(found, was, status, fact)
            found.moments.append(Moment(max(fact.at, found.moments[-1].at), fact.id, status, told, person))
    if status == "resolved" and found.resolved_at is not None:
        found.closes_at = found.resolved_at + bundle.close_after
        if now >= found.closes_at:
            found.closed_at, found.closes_at = found.closes_at, None
            found.moments.append(Moment(found.closed_at, TIME, "closed", told, person))
    return found


def _note_status(found: History, before: str, status: str, fact: Fact) -> None:
    if status in FINISHED and before not in FINISHED:
        found.resolved_at = fact.at
    elif before == "resolved" and status not in FINISHED:
        found.resolved_at = None
        if not asks(fact):
            found.reopened += 1
    if status == "closed":
        found.closed_at = fact.at


def _assigned(
    command: TicketCommand, queue: str | None, team: str | None, organisation: str | None, person: str | None
) -> tuple[str | None, str | None, str | None, str | None]:
    """What is named is taken; what stands below it is cleared unless named too."""
    if command.organisation:
        organisation, team, person = command.organisation, None, None
    if command.team:
        team, person = command.team, None
    return command.queue or queue, team, organisation, command.person or person
