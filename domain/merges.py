"""Merges of a customer's tickets: a union of facts that lasts as long as the merge; and links that go in a circle.

A merge is a command on its source. Which merges stand is a function of all these commands in order of event time, so a
merge that was taken back leaves nothing behind. Tickets of two customers are never merged: their customers are, first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from domain.errors import CommandRefused, Reason
from domain.ticket_rules import MERGED, UNMERGED
from domain.tickets import order
from schemas.casework_state import Fact, TicketState


def standing(facts: Iterable[Fact], tickets: Sequence[TicketState]) -> dict[str, Fact]:
    """The merges that stand, by source, as told by merges and un-merges in order of event time."""
    into: dict[str, Fact] = {}
    for fact in facts:
        if fact.type == UNMERGED:
            into.pop(fact.ticket, None)
        elif objection(fact, into, tickets) is None:
            into[fact.ticket] = fact
    return into


def facts_of(tickets: Iterable[TicketState]) -> list[Fact]:
    """The customer's merges and un-merges, in order of event time."""
    return sorted((f for t in tickets for f in t.facts if f.type in (MERGED, UNMERGED)), key=order)


def objection(fact: Fact, into: dict[str, Fact], tickets: Sequence[TicketState]) -> CommandRefused | None:
    """Why a ticket can't be merged while the merges ``into`` stand; None if it can."""
    source, target = fact.ticket, _target(fact)
    if target == source:
        return CommandRefused(Reason.SAME_TICKET, "a ticket is not merged into itself", "facts.target")
    if source in into:
        held = _target(into[source])
        return CommandRefused(
            Reason.ALREADY_MERGED,
            f"ticket {source} is merged into {held}; take that back with ticket.unmerged first",
        )
    if not any(ticket.id == target for ticket in tickets):
        return CommandRefused(
            Reason.OTHER_CUSTOMER,
            f"ticket {target} is put away, or another customer's; ask with customer.merge_requested that the two become"
            " one, then merge their tickets, or link them",
            "facts.target",
        )
    root = target
    while root in into:
        root = _target(into[root])
    if root == source:
        return CommandRefused(Reason.CYCLE, f"ticket {target} is merged into {source} already", "facts.target")
    if root != target:
        return CommandRefused(
            Reason.TARGET_MERGED, f"ticket {target} was merged into {root}; merge into that one", "facts.target"
        )
    return None


def check(fact: Fact, tickets: Sequence[TicketState]) -> None:
    """Raise ``CommandRefused`` for a merge that is none, by what stood when it was asked for."""
    place = order(fact)
    into = standing((each for each in facts_of(tickets) if order(each) < place), tickets)
    if (error := objection(fact, into, tickets)) is not None:
        raise error
    target = next(ticket for ticket in tickets if ticket.id == _target(fact))
    if target.closed_at is not None and target.closed_at < fact.at:
        raise CommandRefused(
            Reason.TARGET_CLOSED,
            f"ticket {target.id} is closed; merge the other way round, or open a new one and merge into that",
            "facts.target",
        )


def check_parent(fact: Fact, parent_of: Callable[[str], str | None]) -> None:
    """Raise ``CommandRefused`` where a ticket's new parent stands below it already."""
    above: str | None = _target(fact)
    seen = set()
    while above is not None and above not in seen:
        if above == fact.ticket:
            raise CommandRefused(
                Reason.CYCLE,
                f"ticket {above} stands above {_target(fact)} already; remove that link first",
                "facts.target",
            )
        seen.add(above)
        above = parent_of(above)


def settle(tickets: Sequence[TicketState]) -> list[TicketState]:
    """Note on each ticket what it is merged into and what into it; those for which that is new."""
    into = standing(facts_of(tickets), tickets)
    merged: dict[str, list[str]] = {}
    for source, fact in into.items():
        root = _target(fact)
        merged.setdefault(root, []).append(source)
        while root in into:
            root = _target(into[root])
            merged.setdefault(root, []).append(source)
    changed = []
    for ticket in tickets:
        fact_ = into.get(ticket.id)
        now = (_target(fact_), fact_.id) if fact_ else ("", "")
        sources = merged.get(ticket.id, [])
        if now != (ticket.merged_into, ticket.merged_by) or sources != ticket.merged:
            ticket.merged_into, ticket.merged_by = now
            ticket.merged = sources
            changed.append(ticket)
    return changed


def together(ticket: TicketState, tickets: Sequence[TicketState]) -> list[TicketState]:
    """A ticket and those that its facts count for, itself first."""
    found = [ticket]
    while found[-1].merged_into:
        target = next((each for each in tickets if each.id == found[-1].merged_into), None)
        if target is None:
            break
        found.append(target)
    return found


def _target(fact: Fact) -> str:
    return (fact.command.target if fact.command else None) or ""
