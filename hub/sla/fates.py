"""What became of each clock of a period, and how that differs between two ways to judge it.

A clock is (ticket, metric, cycle) and belongs to the period in which it began. Counted are outcomes as they stand at
the end, each for who its verdict is said of; how often an outcome was taken back is counted beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.outputs import Output
from hub.sla.period import Period
from schemas.records import Clock, SlaVerdictIssued, TicketChanged

OUTCOMES = ("met", "breached", "cancelled", "open")
RETRACTED = "retracted"
NOT_PROMISED = "not promised"
EXAMPLES = 20
_STATES = {"breached_running": "breached", "running": "open", "paused": "open"}

Key = tuple[str, str, int]


class Owner(NamedTuple):
    """Whose a clock's outcome is; ``team`` is empty where only organisations are told apart."""

    organisation: str
    team: str


NOBODY = Owner("", "")


@dataclass(slots=True)
class Fate:
    """What became of a clock. Instants and durations in microseconds; ``retracted``: how often it was taken back."""

    outcome: str = "open"
    owner: Owner = NOBODY
    elapsed: int = 0
    target: int = 0
    due_at: int | None = None
    policy: str = ""
    retracted: int = 0


class Fates:
    """The clocks of a period, followed through casework's outputs in their order."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self.of: dict[Key, Fate] = {}

    def take(self, outputs: Iterable[Output]) -> None:
        """Take what casework says after one record."""
        for output in outputs:
            if isinstance(output, TicketChanged):
                for clock in output.clocks:
                    self._clock(output, clock)
            elif isinstance(output, SlaVerdictIssued):
                self._verdict(output)

    def _fate(self, key: Key, started_at: int) -> Fate | None:
        """A clock's fate; None outside of the period. A late event may move a clock's start out of it."""
        if self._period.holds(started_at):
            return self.of.setdefault(key, Fate())
        self.of.pop(key, None)
        return None

    def _clock(self, ticket: TicketChanged, clock: Clock) -> None:
        fate = self._fate((ticket.id, clock.metric, clock.cycle), clock.started_at)
        if fate is None:
            return
        fate.outcome = _STATES.get(clock.state, clock.state)
        fate.elapsed, fate.target, fate.due_at, fate.policy = clock.elapsed, clock.target, clock.due_at, clock.policy
        if fate.outcome == "open":
            fate.owner = Owner(ticket.organisation or "", ticket.team or "")

    def _verdict(self, verdict: SlaVerdictIssued) -> None:
        fate = self._fate((verdict.ticket, verdict.metric, verdict.cycle), verdict.started_at)
        if fate is None or verdict.outcome == "warned":
            return
        if verdict.outcome == RETRACTED:
            fate.retracted += 1
            fate.outcome = "open"
        else:
            fate.outcome = "breached" if verdict.outcome == "ended" else verdict.outcome
        fate.owner = Owner(verdict.organisation or "", verdict.team or "")
        fate.elapsed, fate.target, fate.due_at = verdict.elapsed, verdict.target, verdict.due_at
        fate.policy = verdict.policy


class Example(NamedTuple):
    """A clock that ends otherwise; None where nothing was promised."""

    key: Key
    before: Fate | None
    after: Fate | None


@dataclass(slots=True)
class Row:
    """One owner's clocks by their outcome, before and after."""

    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Difference:
    """Two ways to judge a period, compared. ``changes``: how many clocks went from which outcome to which."""

    by_team: bool = True
    clocks: int = 0
    rows: dict[Owner, Row] = field(default_factory=dict)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, before: Fates, after: Fates) -> None:
        """Add the clocks of one partition."""
        for key in sorted(before.of.keys() | after.of.keys()):
            one, other = before.of.get(key), after.of.get(key)
            self.clocks += 1
            if one is not None:
                _count(self._row(one).before, one)
            if other is not None:
                _count(self._row(other).after, other)
            change = (one.outcome if one else NOT_PROMISED, other.outcome if other else NOT_PROMISED)
            if change[0] != change[1]:
                self.changes[change] += 1
                if self.changes[change] <= EXAMPLES:
                    self.examples.append(Example(key, one, other))

    def total(self) -> Row:
        """All owners together."""
        found = Row()
        for row in self.rows.values():
            found.before += row.before
            found.after += row.after
        return found

    def _row(self, fate: Fate) -> Row:
        owner = fate.owner if self.by_team else Owner(fate.owner.organisation, "")
        return self.rows.setdefault(owner, Row())


def _count(counts: Counter[str], fate: Fate) -> None:
    counts[fate.outcome] += 1
    counts[RETRACTED] += fate.retracted


def kept(counts: Mapping[str, int]) -> float | None:
    """The share of promises kept, in percent: met / (met + breached); None where neither is."""
    met, breached = counts.get("met", 0), counts.get("breached", 0)
    return 100 * met / (met + breached) if met + breached else None
