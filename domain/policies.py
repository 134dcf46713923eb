"""Policies, calendars, routes and escalations as one versioned bundle: what was promised, by whom, in which hours.

Here are its values and what is chosen from them. ``domain.policy_reading`` makes them from what a person wrote. A
bundle of a published version never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from domain.business_time import Calendar

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
JOIN_WINDOW: Final = 3 * DAY
CLOSE_AFTER: Final = 7 * DAY
CONCURRENT_WINDOW: Final = HOUR
REPEAT_WINDOW: Final = 7 * DAY
ANSWER_WITHIN: Final = 20 * SECOND
SHORT_ABANDON: Final = 5 * SECOND
FORMULA: Final = "answered_within_of_offered_less_short"
WARNINGS: Final = (75, 90)

PRIORITIES: Final = ("low", "normal", "high", "urgent")
METRICS: Final = (
    "first_response",
    "next_response",
    "resolution",
    "agent_work",
    "total_resolution",
    "periodic_update",
    "acknowledgement",
    "ownership",
    "call_answer",
    "callback",
)
STATUSES: Final = ("open", "pending", "on_hold", "resolved", "closed")
MATCHABLE: Final = ("tenant", "channel", "priority", "source", "team", "organisation", "queue", "tier", "about")
PAUSES: Final[Mapping[str, frozenset[str]]] = {
    "resolution": frozenset({"pending"}),
    "agent_work": frozenset({"pending", "on_hold"}),
}
"""The statuses in which a metric's clock stands unless its target says otherwise; the other metrics never stand."""

Boundary = Literal["next_open", "close"]
Reopen = Literal["resume", "count_closed", "new_cycle"]
CallOpens = Literal["abandoned", "queued", "never"]
On = Literal["warned", "breached"]


class Attributes(NamedTuple):
    """What a policy, a route or an escalation may match on, as it is for a ticket at one moment. A key of
    ``policy_for``: made, hashed and compared for each fact, at a quarter of a frozen dataclass's cost."""

    tenant: str
    channel: str
    priority: str
    source: str = ""
    team: str | None = None
    organisation: str | None = None
    queue: str | None = None
    tier: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold; each names the values it accepts. No condition matches everything."""

    conditions: tuple[tuple[str, frozenset[str]], ...] = ()

    def holds(self, attributes: Attributes) -> bool:
        """Whether every condition accepts the attribute it names."""
        return all(getattr(attributes, name) in accepted for name, accepted in self.conditions)


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: ``durations`` per priority in microseconds; ``pauses``: the statuses in which its clock stands."""

    metric: str
    durations: Mapping[str, int]
    pauses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """A set of promises for the tickets its match holds for.

    ``warnings``: percents of the target (1 to 99, rising), then, as negative seconds, how long before the due (-900:
    15 minutes), longest first. ``boundary``: the due of a target that is used up exactly at a closing. ``reopen``:
    whether a reopened ticket's clock resumes, counts the time between as well, or begins a new cycle.
    """

    name: str
    match: Match
    calendar: str
    targets: Mapping[str, Target]
    warnings: tuple[int, ...] = WARNINGS
    boundary: Boundary = "next_open"
    reopen: Reopen = "resume"


@dataclass(frozen=True, slots=True)
class Route:
    """Who owns a ticket when it opens."""

    match: Match
    queue: str | None
    team: str | None
    organisation: str | None


@dataclass(frozen=True, slots=True)
class Escalation:
    """To whom a ticket goes when a promise on it is ``on`` (warned or breached), and the level it then has, from 1.

    ``threshold``: the warning that counts, as in ``Policy.warnings``; None for any, and for a breach.
    """

    name: str
    match: Match
    metric: str
    on: On
    threshold: int | None = None
    queue: str | None = None
    team: str | None = None
    organisation: str | None = None
    person: str | None = None
    level: int = 1


@dataclass(frozen=True, slots=True)
class QueueTerms:
    """How a queue's service level is computed: answered within so long (µs), by which formula; who gives up sooner than
    ``short_abandon`` (µs) counts as a short abandon. ``formula``: an id of ``domain.service_levels``."""

    queue: str
    answer_within: int = ANSWER_WITHIN
    short_abandon: int = SHORT_ABANDON
    formula: str = FORMULA


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of all that is configured. Windows are microseconds.

    ``join_window``: an interaction joins the customer's open ticket when that was last touched within it.
    ``close_after``: a resolved ticket closes when nothing happened for so long.
    ``subject_matter``: attributes of events; the first of them that an event carries says what it is about.
    ``call_opens``: the point from which a call that asks for something opens a ticket.
    ``concurrent_window``: two organisations or teams that act on a ticket within it work on it at the same time.
    ``repeat_window``: a contact about the same within it is a repeated one.
    ``sources``: per calendar and date of a holiday, where that date came from; for people only.
    """

    name: str
    version: int
    calendars: Mapping[str, Calendar]
    policies: Sequence[Policy]
    routes: Sequence[Route] = ()
    join_window: int = JOIN_WINDOW
    close_after: int = CLOSE_AFTER
    escalations: Sequence[Escalation] = ()
    queues: Mapping[str, QueueTerms] = field(default_factory=dict)
    subject_matter: tuple[str, ...] = ()
    call_opens: CallOpens = "abandoned"
    concurrent_window: int = CONCURRENT_WINDOW
    repeat_window: int = REPEAT_WINDOW
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _chosen: dict[tuple[object, ...], Policy | None] = field(default_factory=dict, compare=False, repr=False)
    #: What was asked last, and the answer: a ticket asks for each of its metrics.
    _last: list[tuple[Attributes | None, Policy | None]] = field(
        default_factory=lambda: [(None, None)], init=False, compare=False, repr=False
    )
    _compared: int = field(default=0, init=False, compare=False, repr=False)
    promised: frozenset[str] = field(init=False, compare=False, repr=False)
    """The metrics that any of the policies promises: no other is worth a walk over a ticket's facts."""

    def __post_init__(self) -> None:
        # What a ticket is about has endlessly many values: no part of a key that no policy looks at.
        told = any(name == "about" for policy in self.policies for name, _ in policy.match.conditions)
        object.__setattr__(self, "_compared", len(MATCHABLE) if told else len(MATCHABLE) - 1)
        object.__setattr__(self, "promised", frozenset(name for policy in self.policies for name in policy.targets))

    def policy_for(self, attributes: Attributes) -> Policy | None:
        """The first policy, in order, whose match holds."""
        last, policy = self._last[0]
        if last is attributes:
            return policy
        policy = self._chosen_for(attributes)
        self._last[0] = (attributes, policy)
        return policy

    def _chosen_for(self, attributes: Attributes) -> Policy | None:
        key = attributes[: self._compared]
        try:
            return self._chosen[key]
        except KeyError:
            found = next((policy for policy in self.policies if policy.match.holds(attributes)), None)
            if len(self._chosen) >= 10_000:
                self._chosen.clear()
            self._chosen[key] = found
            return found

    def route_for(self, attributes: Attributes) -> Route | None:
        """The first route, in order, whose match holds."""
        return next((route for route in self.routes if route.match.holds(attributes)), None)

    def terms_for(self, queue: str) -> QueueTerms:
        """The queue's terms; the usual ones when the bundle names none."""
        return self.queues.get(queue) or QueueTerms(queue)


EMPTY: Final = Bundle(name="", version=0, calendars={}, policies=())
