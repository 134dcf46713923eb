"""Policies, calendars and routing as one versioned bundle: what was promised, by whom, in which hours.

A bundle is read from a mapping (the YAML a person wrote, or the canonical JSON on the log) and checked whole; what is
wrong is said with its place. A bundle of a published version never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from domain.business_time import Calendar
from domain.errors import PolicyInvalid, Reason

SECOND = 1_000_000
JOIN_WINDOW = 72 * 3600 * SECOND
CLOSE_AFTER = 7 * 86400 * SECOND
PRIORITIES = ("low", "normal", "high", "urgent")
METRICS = ("first_response", "resolution")
STATUSES = ("open", "pending", "on_hold", "resolved", "closed")
MATCHABLE = ("tenant", "channel", "priority", "team", "organisation", "queue", "source")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Boundary = Literal["next_open", "close"]


class Attributes(NamedTuple):
    """What a policy or a route may match on, as it is for a ticket at one moment. A key of ``policy_for``: made, hashed
    and compared for each fact, at a quarter of a frozen dataclass's cost."""

    tenant: str
    channel: str
    priority: str
    source: str = ""
    team: str | None = None
    organisation: str | None = None
    queue: str | None = None


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
    """A set of promises for the tickets its match holds for. ``warnings``: percent of the target, rising."""

    name: str
    match: Match
    calendar: str
    targets: Mapping[str, Target]
    warnings: tuple[int, ...] = (75, 90)
    boundary: Boundary = "next_open"


@dataclass(frozen=True, slots=True)
class Route:
    """Who owns a ticket when it opens."""

    match: Match
    queue: str | None
    team: str | None
    organisation: str | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of all that is configured. Windows are microseconds.

    ``join_window``: an interaction joins the customer's open ticket when that was last touched within it.
    ``close_after``: a resolved ticket closes when nothing happened for so long.
    """

    name: str
    version: int
    calendars: Mapping[str, Calendar]
    policies: Sequence[Policy]
    routes: Sequence[Route] = ()
    join_window: int = JOIN_WINDOW
    close_after: int = CLOSE_AFTER
    _chosen: dict[Attributes, Policy | None] = field(default_factory=dict, compare=False, repr=False)

    def policy_for(self, attributes: Attributes) -> Policy | None:
        """The first policy, in order, whose match holds."""
        try:
            return self._chosen[attributes]
        except KeyError:
            found = next((policy for policy in self.policies if policy.match.holds(attributes)), None)
            if len(self._chosen) < 10_000:
                self._chosen[attributes] = found
            return found

    def route_for(self, attributes: Attributes) -> Route | None:
        """The first route, in order, whose match holds."""
        return next((route for route in self.routes if route.match.holds(attributes)), None)


EMPTY = Bundle(name="", version=0, calendars={}, policies=())


def duration(value: object, where: str) -> int:
    """Microseconds of ``"90s"``, ``"30m"``, ``"4h"``, ``"2d"`` (24 h each) or their sum ``"1h30m"``."""
    if isinstance(value, str) and value:
        total, digits = 0, ""
        for char in value.replace(" ", ""):
            if char.isascii() and char.isdigit():
                digits += char
            elif char in _UNITS and digits:
                total, digits = total + int(digits) * _UNITS[char], ""
            else:
                total = -1
                break
        if total > 0 and not digits:
            return total * SECOND
    raise PolicyInvalid(Reason.BAD_VALUE, f"{value!r} is no duration; write for example 30m, 4h or 1h30m", where)


def read_bundle(document: object, version: int) -> Bundle:
    """A checked bundle of what ``document`` says.

    Shape: ``{name, calendars: {name: calendar}, policies: [{name, match, calendar, targets, warnings, boundary}],
    routes: [{match, assign: {queue, team, organisation}}], tickets: {join_window, close_after}}``.
    Raises ``PolicyInvalid`` or ``CalendarInvalid`` with the place of what can't be used.
    """
    top = _mapping(document, "bundle", ("name", "calendars", "policies", "routes", "tickets"))
    calendars = {
        name: _calendar(body, f"calendars.{name}")
        for name, body in _mapping(top.get("calendars", {}), "calendars").items()
    }
    policies = [
        _policy(body, f"policies[{index}]", calendars)
        for index, body in enumerate(_sequence(top.get("policies", []), "policies"))
    ]
    names = [policy.name for policy in policies]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise PolicyInvalid(Reason.OVERLAP, f"two policies are called {name!r}", f"policies[{index}].name")
    routes = [_route(body, f"routes[{index}]") for index, body in enumerate(_sequence(top.get("routes", []), "routes"))]
    tickets = _mapping(top.get("tickets", {}), "tickets", ("join_window", "close_after"))
    windows = {name: duration(value, f"tickets.{name}") for name, value in tickets.items()}
    return Bundle(
        name=_text(top.get("name", "default"), "name"),
        version=version,
        calendars=calendars,
        policies=policies,
        routes=routes,
        join_window=windows.get("join_window", JOIN_WINDOW),
        close_after=windows.get("close_after", CLOSE_AFTER),
    )


def _calendar(body: object, where: str) -> Calendar:
    return Calendar.from_mapping(_mapping(body, where), where)


def _policy(body: object, where: str, calendars: Mapping[str, Calendar]) -> Policy:
    given = _mapping(body, where, ("name", "match", "calendar", "targets", "warnings", "boundary"))
    calendar = _text(given.get("calendar"), f"{where}.calendar")
    if calendar not in calendars:
        raise PolicyInvalid(
            Reason.UNKNOWN_KEY, f"there is no calendar {calendar!r} in this bundle", f"{where}.calendar"
        )
    targets = {
        metric: _target(metric, target, f"{where}.targets.{metric}")
        for metric, target in _mapping(given.get("targets"), f"{where}.targets", METRICS).items()
    }
    if not targets:
        raise PolicyInvalid(Reason.MISSING_FIELD, "a policy promises at least one thing", f"{where}.targets")
    warnings = _sequence(given.get("warnings", [75, 90]), f"{where}.warnings")
    for index, percent in enumerate(warnings):
        if not isinstance(percent, int) or not 0 < percent < 100:
            raise PolicyInvalid(Reason.BAD_VALUE, "a warning is a percent from 1 to 99", f"{where}.warnings[{index}]")
    boundary = given.get("boundary", "next_open")
    if boundary not in ("next_open", "close"):
        raise PolicyInvalid(Reason.BAD_VALUE, "boundary is next_open or close", f"{where}.boundary")
    return Policy(
        name=_text(given.get("name"), f"{where}.name"),
        match=_match(given.get("match", {}), f"{where}.match"),
        calendar=calendar,
        targets=targets,
        warnings=tuple(sorted({int(str(percent)) for percent in warnings})),
        boundary="close" if boundary == "close" else "next_open",
    )


def _target(metric: str, body: object, where: str) -> Target:
    if isinstance(body, str):
        return Target(metric, dict.fromkeys(PRIORITIES, duration(body, where)), _default_pauses(metric))
    given = _mapping(body, where, (*PRIORITIES, "pauses"))
    durations = {
        priority: duration(given[priority], f"{where}.{priority}") for priority in PRIORITIES if priority in given
    }
    if not durations:
        raise PolicyInvalid(Reason.MISSING_FIELD, "name a duration for at least one priority", where)
    if "pauses" not in given:
        return Target(metric, durations, _default_pauses(metric))
    pauses = _sequence(given["pauses"], f"{where}.pauses")
    for index, status in enumerate(pauses):
        if status not in STATUSES:
            raise PolicyInvalid(
                Reason.UNKNOWN_STATUS, f"{status!r} is not one of {STATUSES}", f"{where}.pauses[{index}]"
            )
    return Target(metric, durations, frozenset(str(status) for status in pauses))


def _default_pauses(metric: str) -> frozenset[str]:
    return frozenset({"pending"}) if metric == "resolution" else frozenset()


def _route(body: object, where: str) -> Route:
    given = _mapping(body, where, ("match", "assign"))
    assign = _mapping(given.get("assign"), f"{where}.assign", ("queue", "team", "organisation"))
    owner = {name: _text(value, f"{where}.assign.{name}") for name, value in assign.items()}
    return Route(
        _match(given.get("match", {}), f"{where}.match"),
        owner.get("queue"),
        owner.get("team"),
        owner.get("organisation"),
    )


def _match(body: object, where: str) -> Match:
    conditions: list[tuple[str, frozenset[str]]] = []
    for name, value in _mapping(body, where, MATCHABLE).items():
        accepted = value if isinstance(value, list) else [value]
        conditions.append((name, frozenset(_text(each, f"{where}.{name}") for each in accepted)))
    return Match(tuple(sorted(conditions, key=lambda condition: condition[0])))


def _mapping(value: object, where: str, keys: Sequence[str] | None = None) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise PolicyInvalid(Reason.BAD_VALUE, f"this is to be a mapping, not {type(value).__name__}", where)
    for key in value:
        if keys is not None and key not in keys:
            raise PolicyInvalid(Reason.UNKNOWN_KEY, f"{key!r} is not known here; known are {', '.join(keys)}", where)
    return {str(key): entry for key, entry in value.items()}


def _sequence(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise PolicyInvalid(Reason.BAD_VALUE, f"this is to be a list, not {type(value).__name__}", where)
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyInvalid(Reason.MISSING_FIELD, "a text is needed here", where)
    return value
