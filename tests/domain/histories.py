"""A ticket's history as a test says it was: the product makes one of a single mail, and what counts replaces it."""

from __future__ import annotations

from collections.abc import Sequence

from domain.tickets import History, Moment, history
from schemas.casework_state import Fact
from tests.domain.clocks import CUSTOMER, MAIL, Hub, policy


def history_of(moments: Sequence[Moment], facts: Sequence[Fact] = ()) -> History:
    """What the ticket was, from moment to moment, and what was told of it."""
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL)
    state = hub.work.customers[CUSTOMER]
    found = history(state.tickets[0], state, hub.work.bundles[1], hub.work.reached)
    found.moments, found.facts = list(moments), list(facts)
    found.opened_at, found.opened_by = moments[0].at, moments[0].by
    found.reopened = len(moments) - 1  # it may have been finished in between
    return found
