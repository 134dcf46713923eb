"""A customer's casework as the ticket tests drive it: events go in, and what was said and what stands is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from domain.casework import Casework
from domain.errors import CommandRefused
from domain.outputs import Output
from domain.policies import Bundle
from schemas.casework_state import pack, unpack
from schemas.records import InteractionReceived, SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from tests.domain.stories import MINUTE, START, bundle

CUSTOMER = "11111111-1111-5111-8111-111111111111"


def configured(**changes: object) -> Bundle:
    """The usual bundle with other terms for tickets."""
    return replace(bundle(), **changes)  # type: ignore[arg-type]  # names and types are those of Bundle


@dataclass
class Desk:
    """One customer's casework, and all that was said of it."""

    work: Casework = field(default_factory=Casework)
    said: list[Output] = field(default_factory=list)

    def feed(self, *steps: InteractionReceived | float) -> list[Output]:
        """Events in; a number is the time told, in minutes. What they make it say."""
        before = len(self.said)
        for step in steps:
            if isinstance(step, InteractionReceived):
                self.said += self.work.received(CUSTOMER, "email:customer@example.com", step)
            else:
                self.said += self.work.advance(START + round(step * MINUTE))
        return self.said[before:]

    def ticket(self, ticket: str) -> TicketChanged:
        """A ticket as it was published last."""
        return [o for o in self.said if isinstance(o, TicketChanged) and o.id == ticket][-1]

    def refused(self, event: InteractionReceived) -> CommandRefused:
        """What is said against a command; nothing else may come of it."""
        state = self.work.customers.get(CUSTOMER)
        before = None if state is None else pack(state)
        with pytest.raises(CommandRefused) as raised:
            self.feed(event)
        state = self.work.customers.get(CUSTOMER)
        assert (None if state is None else pack(state)) == before
        return raised.value

    def restart(self) -> None:
        """Go on in another process with the state as it was packed."""
        for customer, packed in self.work.changed():
            assert packed is not None
            assert pack(unpack(packed)) == packed
            self.work.put(customer, packed)


def desk(**changes: object) -> Desk:
    """A desk with the usual bundle, or one with other terms."""
    made = Desk()
    made.work.configure("t", configured(**changes))
    return made


def entries(said: Sequence[Output]) -> list[TimelineEntryAdded]:
    """The lines of the history among what was said."""
    return [each for each in said if isinstance(each, TimelineEntryAdded)]


def because(said: Sequence[Output]) -> str | None:
    """Why the only event joined."""
    (line,) = entries(said)
    return line.joined_because


def verdicts(said: Sequence[Output]) -> list[tuple[str, str]]:
    """What was said of promises: metric and outcome."""
    return [(each.metric, each.outcome) for each in said if isinstance(each, SlaVerdictIssued)]
