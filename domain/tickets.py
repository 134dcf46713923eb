"""What a ticket is, as a function of its facts in order of event time, so that the order of arrival can't change it.

Which facts are a ticket's is decided in ``domain.joining``, what a command changes in ``domain.ticket_rules``.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from domain.handling import handling
from domain.policies import Attributes, Bundle
from domain.ticket_rules import AFTER_CONTACT, COMMANDS, FINISHED, MERGED, Standing, evolve
from schemas.casework_state import CustomerState, Fact, TicketState
from schemas.records import (
    CallFacts,
    CustomerContext,
    Handling,
    InteractionReceived,
    MailFacts,
    TicketCommand,
)

#: A customer waits for a person after one of these, unless nobody wrote it.
ASKS: Final = frozenset(
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
ANSWERS: Final = frozenset({"email.sent", "message.sent", "call.answered", "chat.accepted", "callback.completed"})
CONTEXT: Final = "customer.context_updated"
TIME: Final = "time"
_NO_COMMAND: Final = TicketCommand()
_NOTHING: Final[Mapping[str, int]] = {}
_NONE: Final[frozenset[str]] = frozenset()


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


def sort_in(facts: list[Fact], fact: Fact) -> None:
    """Put a fact in its place among others."""
    if not facts or order(facts[-1]) <= order(fact):
        facts.append(fact)
    else:
        insort(facts, fact, key=order)


def fact_of(event: InteractionReceived, contact_point: str, bundle: Bundle) -> Fact:
    """What promises depend on. An event can't have happened after it was received: a source's fast clock is cut off."""
    facts = event.facts
    actor = event.actor
    automatic = event.type == "email.auto_replied" or getattr(facts, "automatic", None) is not None
    fact = Fact(
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
    )
    if event.type in COMMANDS:
        fact.command = facts if isinstance(facts, TicketCommand) else _NO_COMMAND
        fact.about = fact.command.about or ""
    elif isinstance(facts, MailFacts):
        fact.message = message_number(facts.message_id) if facts.message_id else 0
    elif isinstance(facts, CallFacts):
        fact.queue = facts.queue
    elif isinstance(facts, CustomerContext):
        fact.tier = facts.tier
    if bundle.subject_matter and not fact.about:
        fact.about = next((f"{n}={event.attributes[n]}" for n in bundle.subject_matter if event.attributes.get(n)), "")
    return fact


def message_number(message_id: str) -> int:
    """A number of 64 bits that stands for a mail's Message-ID: a state keeps thousands of them."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=8).digest())


class Moment(NamedTuple):
    """A ticket from one instant on, until the next moment. ``by``: the event that made it so, or ``time``."""

    at: int
    by: str
    status: str
    attributes: Attributes
    person: str | None = None


class History:
    """What a ticket was and is, from its facts. ``moments`` are never empty and rise in time.

    ``facts``: those that promises are judged by, in order: its own, and of tickets merged into it all but their
    commands; ``since``: from when on each of the latter changes this one's status; ``settled``: of these, what was told
    before their own ticket was resolved. ``standing``: how it stands after the last of them; ``stood``: before the
    command that was asked about. ``opened_at`` and ``opened_by``: its first event that asks, or the command that opened
    it; a call may have waited before. ``merged_at`` and ``merged_by``: when it was merged into another, and by which
    fact. ``interactions`` counts what was no command; ``conversations``: those it consists of, oldest first.
    """

    def __init__(self, facts: list[Fact], since: Mapping[str, int], standing: Standing, opening: Fact) -> None:
        self.moments: list[Moment] = []
        self.facts = facts
        self.standing = standing
        self.opened_at = opening.at
        self.opened_by = opening.id
        self.conversations: dict[str, None] = {}
        self.since = since
        self.first_ask: Fact | None = None
        self.first_answer: Fact | None = None
        self.reopened = 0
        self.resolved_at: int | None = None
        self.closed_at: int | None = None
        self.closes_at: int | None = None
        self.merged_at: int | None = None
        self.merged_by = ""
        self.interactions = 0
        self.handled_by: Sequence[Handling] = ()
        self.concurrent_at: int | None = None
        self.stood: Standing | None = None
        self.settled: frozenset[str] | set[str] = _NONE


def opening_of(ticket: TicketState) -> Fact:
    """The event that opened a ticket, or its oldest one where that is put away."""
    facts = ticket.facts
    return facts[0] if facts[0].id == ticket.id else next((fact for fact in facts if fact.id == ticket.id), facts[0])


def history(ticket: TicketState, state: CustomerState, bundle: Bundle, now: int, asked: Fact | None = None) -> History:
    """The ticket's course up to ``now``, from its facts, which are in the order of ``order``.

    ``asked``: a command among them of which it is to be told how the ticket ``stood`` before.
    """
    if not ticket.merged:
        found = _course(ticket, ticket.facts, _NOTHING, state.tenant, bundle, now, asked)
    else:
        facts, since, settled = _with_merged(ticket, state)
        found = _course(ticket, facts, since, state.tenant, bundle, now, asked)
        found.settled = settled
    found.handled_by, found.concurrent_at = handling(found.facts, bundle.concurrent_window)
    return found


def _with_merged(ticket: TicketState, state: CustomerState) -> tuple[list[Fact], dict[str, int], set[str]]:
    """Its facts and those of the tickets merged into it; for each of the latter from when on it changes the status; and
    those questions that were settled there, as their ticket was resolved.

    What somebody did with a merged ticket is no command to this one; what was told of the customer it has itself.
    """
    since: dict[str, int] = {}
    settled: set[str] = set()
    facts = list(ticket.facts)
    by_id = {each.id: each for each in state.tickets}
    for source in ticket.merged:
        if (other := by_id.get(source)) is None:
            continue
        at, step = 0, other
        while step.id != ticket.id:
            at = max(at, next(fact.at for fact in step.facts if fact.id == step.merged_by))
            step = by_id[step.merged_into]
        waiting: list[str] = []
        resolved: list[str] = []
        for fact in other.facts:
            if fact.command is None and fact.type != CONTEXT:
                facts.append(fact)
                since[fact.id] = at
                waiting.append(fact.id)
            elif fact.type == "ticket.status_set" and fact.command is not None and fact.command.status in FINISHED:
                settled.update(waiting)
                resolved, waiting = waiting, []
            elif fact.type in ("ticket.status_set", "ticket.reopened"):  # the resolving was taken back
                settled.difference_update(resolved)
                resolved, waiting = [], [*resolved, *waiting]
    facts.sort(key=order)
    return facts, since, settled


def _course(
    ticket: TicketState,
    facts: list[Fact],
    since: Mapping[str, int],
    tenant: str,
    bundle: Bundle,
    now: int,
    asked: Fact | None,
) -> History:
    """One walk over the facts. ``since``: of facts of merged tickets, from when on they change this one's status."""
    opening = opening_of(ticket)
    it = Standing(ticket.id, "open", ticket.priority, ticket.queue, ticket.team, ticket.organisation)
    about = facts[0].about
    told = Attributes(
        tenant,
        opening.channel,
        it.priority,
        ticket.source,
        it.team,
        it.organisation,
        it.queue,
        ticket.tier or None,
        about or None,
    )
    found = History(facts, since, it, opening)
    moments, conversations = found.moments, found.conversations
    if facts[0] is opening or (facts[0].command is None and facts[0].type != CONTEXT):
        moments.append(Moment(facts[0].at, facts[0].id, "open", told))
    status, others = "open", 0
    person: str | None = None
    for fact in facts:
        if status == "resolved" and found.resolved_at is not None:
            closing = found.resolved_at + bundle.close_after
            if fact.at >= closing:
                status, found.closed_at = "closed", closing
                moments.append(Moment(closing, TIME, "closed", told, person))
        command = fact.command
        kind = fact.type
        if not moments and (fact is opening or (command is None and kind != CONTEXT)):
            moments.append(Moment(fact.at, fact.id, status, told, person))
        was, held = status, told
        had: str | None = person
        if command is not None:
            others += 1
            it.status = status
            if fact is asked:
                found.stood = it.copied()
            if kind == MERGED:  # those that stand are known from all the customer's merges together
                if fact.id == ticket.merged_by:
                    it.status, it.merged_into = "closed", ticket.merged_into
                    found.merged_at, found.merged_by = fact.at, fact.id
            elif evolve(it, fact):
                person = it.person
                if (it.team, it.organisation, it.queue) != told[4:7] or it.priority != told.priority:
                    told = Attributes(
                        tenant, told.channel, it.priority, told.source, it.team, it.organisation, it.queue, *told[7:]
                    )
            status = it.status
        elif kind == CONTEXT:
            others += 1
            if (fact.tier or None) != told.tier:
                told = told._replace(tier=fact.tier or None)
        else:
            conversations[fact.conversation] = None
            if kind in ASKS:
                if asks(fact):
                    if found.first_ask is None:
                        found.first_ask = fact
                        if fact.at < found.opened_at and fact.id not in since:
                            found.opened_at, found.opened_by = fact.at, fact.id
                    if not since or since.get(fact.id, 0) <= fact.at:
                        if status == "resolved":
                            found.reopened += 1
                        status = AFTER_CONTACT[status] or status
            elif found.first_answer is None and kind in ANSWERS and found.first_ask is not None and answers(fact):
                found.first_answer = fact
        if fact.about and fact.about != about and (not about or command is not None):
            about = fact.about
            told = told._replace(about=about)
        if status != was or told is not held or person != had:
            if status != was:
                _note_status(found, was, status, fact)
            if moments:
                at = fact.at if fact.at > moments[-1].at else moments[-1].at
                moments.append(Moment(at, fact.id, status, told, person))
    found.interactions = len(facts) - others
    if not moments:
        moments.append(Moment(facts[0].at, facts[0].id, status, told, person))
    if status == "resolved" and found.resolved_at is not None:
        found.closes_at = found.resolved_at + bundle.close_after
        if now >= found.closes_at:
            found.closed_at, found.closes_at = found.closes_at, None
            status = "closed"
            moments.append(Moment(found.closed_at, TIME, "closed", told, person))
    it.status = status
    return found


def _note_status(found: History, before: str, status: str, fact: Fact) -> None:
    if fact.type == MERGED:  # it is closed, and nobody says that it was resolved
        found.closed_at = fact.at
        return
    if status in FINISHED and before not in FINISHED:
        found.resolved_at = fact.at
    elif before == "resolved" and status not in FINISHED:
        found.resolved_at = None
        if not asks(fact):
            found.reopened += 1
    if status == "closed":
        found.closed_at = fact.at
