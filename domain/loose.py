"""Facts of a customer that joined no ticket, kept for a while: their conversation may become a ticket's yet.

A call waits before it is given up, and only that opens a ticket; a person opens one from a call that was long answered.
At most ``MOST`` are kept, and none from further back than the join window before the newest.
"""

from __future__ import annotations

from typing import Final

from domain.tickets import sort_in
from schemas.casework_state import CustomerState, Fact

MOST: Final = 32


def keep(state: CustomerState, fact: Fact, window: int) -> None:
    """Keep a fact that joined no ticket, and let go of what is too old or too much."""
    sort_in(state.loose, fact)
    oldest = state.loose[-1].at - window
    state.loose = [each for each in state.loose if each.at >= oldest][-MOST:]


def adopt(state: CustomerState, conversation: str, ticket: str) -> list[Fact]:
    """Take out the facts of a conversation, as facts of a ticket."""
    taken = [fact for fact in state.loose if fact.conversation == conversation]
    if taken:
        state.loose = [fact for fact in state.loose if fact.conversation != conversation]
        for fact in taken:
            fact.ticket, fact.because = ticket, "same_conversation"
    return taken
