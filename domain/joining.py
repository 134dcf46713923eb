"""Which ticket an interaction joins, with the reason. Decided once, when the event arrives, and kept in the fact.

In order: the ticket it names; the one that has its conversation, or a mail it refers to; an open one of the same
customer that was touched within the join window and is not about something else; a new one, if it asks for something.
Commands join the ticket they name, and whether they can be carried out is ``domain.ticket_rules``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from domain.errors import CommandRefused, Reason
from domain.policies import Bundle
from domain.ticket_rules import COMMANDS
from domain.tickets import ANSWERS, ASKS, CONTEXT, asks, message_number, opening_of
from schemas.casework_state import CustomerState, Fact, TicketState
from schemas.records import InteractionReceived, MailFacts, TicketCommand

_JOINS: Final = ASKS | ANSWERS
_CONTACTS: Final = ("call.", "chat.", "visit.")


#: Why an event joined its ticket, or none. ``docs/sla.md`` says what each means.
Because = Literal[
    "named",
    "changes_nothing",
    "same_conversation",
    "references",
    "merged",
    "same_subject_matter",
    "same_customer_recently",
    "customer_asks",
    "asks_about_something_else",
    "customer_waits",
    "opened_by_command",
    "long_before_the_ticket",
    "tells_of_the_customer",
    "no_open_ticket",
    "concerns_no_ticket",
]


class Placement(NamedTuple):
    """Where an event belongs and why. ``ticket``: the one it joins, None for none.

    ``holder``: the ticket that keeps the fact: the same, or one merged into it; None when it is to open (``opens``), or
    when it is no fact of the ticket. ``follows``: the ticket before it. ``loose``: it may join a ticket yet.
    """

    ticket: str | None
    because: Because
    holder: TicketState | None = None
    opens: bool = False
    follows: str | None = None
    loose: bool = False


def place(fact: Fact, state: CustomerState, bundle: Bundle, event: InteractionReceived) -> Placement:
    """Decide which ticket an event joins. Raises ``CommandRefused`` for a command that names none that is held."""
    tickets = state.tickets
    if fact.type in COMMANDS:
        return _command(fact, tickets, event)
    if fact.type == CONTEXT:
        return Placement(None, "tells_of_the_customer")
    named = named_by(event)
    if named is not None and (found := _held(tickets, named)) is not None:
        placement = _into(found, fact, tickets, bundle, "named")
        if placement is not None:
            return placement
    follows = None
    for ticket in tickets:  # oldest first: what happened before one was closed is evidence for it
        if any(other.conversation == fact.conversation for other in ticket.facts):
            placement = _into(ticket, fact, tickets, bundle, "same_conversation")
            if placement is not None:
                return placement
            follows = ticket.id
    if follows is None and isinstance(event.facts, MailFacts) and tickets:
        for ticket in _referred(event.facts, tickets):
            placement = _into(ticket, fact, tickets, bundle, "references")
            if placement is not None:
                return placement
            follows = ticket.id
    if fact.automatic or (fact.type not in _JOINS and not fact.type.startswith(_CONTACTS)):
        return Placement(None, "concerns_no_ticket")
    return _nearest(fact, tickets, bundle, follows)


def named_by(event: InteractionReceived) -> str | None:
    """The ticket an event names itself. Raises ``CommandRefused`` where it names two."""
    named = event.facts.ticket or None if isinstance(event.facts, TicketCommand) else None
    for point in event.contact_points:
        if point.kind == "hub" and point.value.startswith("ticket:"):
            other = point.value.removeprefix("ticket:")
            if named is not None and named != other and event.type in COMMANDS:
                raise CommandRefused(
                    Reason.CONTRADICTORY,
                    f"facts.ticket is {named} and the contact point names {other}; send one command for each",
                    "facts.ticket",
                )
            named = named or other
    return named


def _command(fact: Fact, tickets: Sequence[TicketState], event: InteractionReceived) -> Placement:
    named = named_by(event)
    if fact.type == "ticket.opened":
        origin = (fact.command.origin if fact.command else None) or fact.conversation
        before = next((t for t in tickets if any(f.conversation == origin for f in t.facts)), None)
        return Placement(fact.id, "opened_by_command", opens=True, follows=before.id if before else None)
    if named is None:
        raise CommandRefused(Reason.MISSING_FIELD, "the command names no ticket; put its id into facts.ticket")
    found = _held(tickets, named)
    if found is None:
        raise CommandRefused(
            Reason.TICKET_CLOSED,
            f"ticket {named} is closed and put away, or another customer's; open a new one",
        )
    return Placement(named, "named", found)


def _held(tickets: Sequence[TicketState], ticket: str | None) -> TicketState | None:
    for each in tickets:
        if each.id == ticket:
            return each
    return None


def _into(
    ticket: TicketState, fact: Fact, tickets: Sequence[TicketState], bundle: Bundle, because: Because
) -> Placement | None:
    """Into a ticket or the one it is merged into. None when that is closed: it takes only what happened before."""
    if ticket.facts[0].at - fact.at > bundle.join_window and opening_of(ticket).at - fact.at > bundle.join_window:
        return Placement(ticket.id, "long_before_the_ticket")
    if ticket.closed_at is None or fact.at <= ticket.closed_at:
        return Placement(ticket.id, because, ticket)
    if ticket.merged_into:
        target = root_of(ticket, tickets)
        if target.closed_at is None or fact.at <= target.closed_at:
            return Placement(target.id, "merged", ticket)
    return None


def root_of(ticket: TicketState, tickets: Sequence[TicketState]) -> TicketState:
    """The ticket that goes on for one, which is the ticket itself unless it was merged."""
    while ticket.merged_into and (target := _held(tickets, ticket.merged_into)) is not None:
        ticket = target
    return ticket


def _referred(facts: MailFacts, tickets: Sequence[TicketState]) -> list[TicketState]:
    """The tickets with a mail that this one refers to, nearest in its thread first: a mailer may have cut the list."""
    thread = [*reversed(facts.references), *([facts.in_reply_to] if facts.in_reply_to else [])]
    numbers = {number: rank for rank, number in reversed(list(enumerate(map(message_number, thread))))}
    if not numbers:
        return []
    found = [(numbers[fact.message], at) for at, t in enumerate(tickets) for fact in t.facts if fact.message in numbers]
    return [tickets[at] for at in dict.fromkeys(at for _, at in sorted(found))]


def _nearest(fact: Fact, tickets: Sequence[TicketState], bundle: Bundle, follows: str | None) -> Placement:
    """The customer's open ticket about the same, else the nearest that isn't known to be about something else; else a
    new one for what asks."""
    near = []
    others = False
    for ticket in tickets:
        if ticket.closed_at is None and (distance := abs(fact.at - _touched(ticket))) <= bundle.join_window:
            if fact.about and ticket.about and fact.about != ticket.about:
                others = True
            else:
                near.append((not (fact.about and fact.about == ticket.about), distance, ticket.id, ticket))
    if near:
        other, _, ticket_id, ticket = min(near)
        return Placement(ticket_id, "same_customer_recently" if other else "same_subject_matter", ticket)
    if _opens(fact, bundle):
        because: Because = "customer_asks" if asks(fact) else "customer_waits"
        if others:
            because = "asks_about_something_else"
        return Placement(fact.id, because, opens=True, follows=follows)
    return Placement(None, "no_open_ticket", loose=True)


def _opens(fact: Fact, bundle: Bundle) -> bool:
    if fact.type == "call.abandoned":
        return bundle.call_opens != "never" and asks(fact)
    if fact.type == "call.queued":
        return bundle.call_opens == "queued" and fact.direction == "inbound" and fact.actor in ("customer", "")
    return asks(fact)


def _touched(ticket: TicketState) -> int:
    """When somebody last did something on it; what a system of record or a rule does is nothing of that kind."""
    for fact in reversed(ticket.facts):
        if fact.type != CONTEXT and fact.actor != "system":
            return fact.at
    return ticket.facts[-1].at
