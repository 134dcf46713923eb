"""Who of the company and its vendors acted on a ticket, and whether two of them did so at the same time.

Told from the facts by their actors. A ticket that went from one party to the other was handed over, and is not handled
concurrently; giving it to somebody is no handling of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.casework_state import Fact
from schemas.records import Handling

#: What gives a ticket or a contact to somebody else.
_HANDS_OVER: Final = frozenset(
    {"ticket.assigned", "ticket.escalated", "ticket.accepted", "call.transferred", "chat.transferred"}
)
#: What is done about a ticket, not on it.
_ARRANGES: Final = frozenset(
    {"ticket.prioritised", "ticket.tagged", "ticket.merged", "ticket.unmerged", "ticket.linked", "ticket.unlinked"}
)


_NO_WORK: Final = _HANDS_OVER | _ARRANGES
_NOBODY: Final = (None, None)


def handling(facts: Sequence[Fact], window: int) -> tuple[list[Handling], int | None]:
    """Each organisation and team with when and how often it acted, and the last instant of concurrent handling.

    An act is concurrent when another organisation or team acted at most ``window`` microseconds before, and the ticket
    was not handed over in between.
    """
    parties: dict[tuple[str | None, str | None], list[int]] = {}
    concurrent_at = None
    last: tuple[str | None, str | None] | None = None
    last_at = 0
    for fact in facts:
        if fact.actor != "agent" or fact.automatic:
            if last is not None and fact.type in _HANDS_OVER:
                last = None
            continue
        kind, at = fact.type, fact.at
        party = (fact.organisation, fact.team)
        acted = parties.get(party)
        if acted is not None:
            acted[1] = at
            acted[2] += 1
        elif party != _NOBODY:
            parties[party] = [at, at, 1]
        if kind in _NO_WORK:
            if kind in _HANDS_OVER:
                last = None
        elif party != _NOBODY:
            if last is not None and last != party and at - last_at <= window:
                concurrent_at = at
            last, last_at = party, at
    found = [
        Handling(first_at, last_at, actions, organisation, team)
        for (organisation, team), (first_at, last_at, actions) in parties.items()
    ]
    return found, concurrent_at
