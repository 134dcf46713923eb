"""Plays events to a casework with one policy, and tells what became of its clocks; instants are minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.casework import Casework
from domain.outputs import Output
from domain.policies import METRICS
from schemas.records import Actor, CallFacts, Clock, InteractionReceived, SlaVerdictIssued, TicketChanged
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, START, bundle, command, event

CUSTOMER = "11111111-1111-5111-8111-111111111111"
VENDOR = Actor("agent", id="v-1", team="first-line", organisation="vendor-a")
OWN = Actor("agent", id="o-1", team="second-line", organisation="own")
BOT = Actor("bot", id="greeter")
MAIL = event("mail", "email.received", 0)


def policy(calendar: str = "always", match: object = None, **terms: object) -> dict[str, object]:
    """A bundle of one policy; ``terms`` are its targets by metric, and the policy's own options."""
    targets = {key: value for key, value in terms.items() if key in METRICS}
    options = {key: value for key, value in terms.items() if key not in METRICS}
    rule = {"name": "one", "calendar": calendar, "match": match or {}, "targets": targets, **options}
    return {**AROUND_THE_CLOCK, "policies": [rule]}


class Told(NamedTuple):
    """A verdict in short, ``elapsed`` in minutes."""

    metric: str
    cycle: int
    outcome: str
    elapsed: float


class Hub:
    """One customer's casework. A step that is a number is the time told."""

    def __init__(self, document: object) -> None:
        self.work = Casework()
        self.work.configure("t", bundle(1, document))
        self.outputs: list[Output] = []

    def play(self, *steps: InteractionReceived | float) -> list[Output]:
        made: list[Output] = []
        for step in steps:
            if isinstance(step, InteractionReceived):
                made += self.work.received(CUSTOMER, "email:customer@example.com", step)
            else:
                made += self.work.advance(START + round(step * MINUTE))
        self.outputs += made
        return made

    def told(self, *steps: InteractionReceived | float) -> list[Told]:
        return [Told(v.metric, v.cycle, v.outcome, v.elapsed / MINUTE) for v in verdicts(self.play(*steps))]

    def ticket(self) -> TicketChanged:
        return [each for each in self.outputs if isinstance(each, TicketChanged)][-1]

    def clocks(self, metric: str) -> list[Clock]:
        return [clock for clock in self.ticket().clocks if clock.metric == metric]

    def states(self, metric: str) -> list[tuple[int, str, float]]:
        """Number, state and minutes counted of each of a metric's clocks on the ticket."""
        return [(clock.cycle, clock.state, clock.elapsed / MINUTE) for clock in self.clocks(metric)]

    def due(self, metric: str) -> float | None:
        """Minutes until the newest of a metric's clocks is due."""
        at = self.clocks(metric)[-1].due_at
        return None if at is None else (at - START) / MINUTE


def verdicts(outputs: Sequence[Output]) -> list[SlaVerdictIssued]:
    return [each for each in outputs if isinstance(each, SlaVerdictIssued)]


def mail(name: str, minutes: float, received: float | None = None) -> InteractionReceived:
    return event(name, "email.received", minutes, received=received)


def reply(name: str, minutes: float, received: float | None = None, actor: Actor | None = None) -> InteractionReceived:
    return event(name, "email.sent", minutes, received=received, actor=actor)


def chat(name: str, event_type: str, minutes: float, actor: Actor | None = None) -> InteractionReceived:
    return event(name, event_type, minutes, channel="chat", conversation="chat:1", actor=actor)


def status(name: str, minutes: float, to: str, received: float | None = None) -> InteractionReceived:
    return arrived(command(name, "ticket.status_set", minutes, MAIL.id, status=to), received)


def call(name: str, step: str, minutes: float, queue: str | None = None, number: str = "1") -> InteractionReceived:
    """A step of a call; ``number`` tells two calls apart."""
    actor = VENDOR if step == "answered" else Actor("customer")
    facts = CallFacts(leg=number, queue=queue)
    return event(
        name, f"call.{step}", minutes, channel="voice", conversation=f"call:{number}", actor=actor, facts=facts
    )


def arrived(made: InteractionReceived, received: float | None) -> InteractionReceived:
    """The same event, received later than it happened."""
    if received is None:
        return made
    fields = {key: getattr(made, key) for key in made.__struct_fields__}
    return InteractionReceived(**fields | {"received_at": START + round(received * MINUTE)})
