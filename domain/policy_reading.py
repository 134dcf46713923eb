"""Reads a bundle from a mapping: the YAML a person wrote, or the canonical JSON on the log.

``read_bundle`` takes all that can be understood, and so whatever was ever published: a log is read again for ever.
What is to be published now is read strictly, and ``domain.policy_checks`` looks at it further. Both say the place of
what is wrong; where in a file that is, ``streams.configuration`` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeVar

from domain import policies
from domain.business_time import Calendar
from domain.calendar_faults import calendar_faults
from domain.errors import CalendarInvalid, HubError, PolicyInvalid, Reason
from domain.policies import (
    DAY,
    MATCHABLE,
    METRICS,
    PAUSES,
    PRIORITIES,
    SECOND,
    STATUSES,
    WARNINGS,
    Boundary,
    Bundle,
    CallOpens,
    Escalation,
    Match,
    On,
    Policy,
    QueueTerms,
    Reopen,
    Route,
    Target,
)
from domain.service_levels import SERVICE_LEVELS

LONGEST = 50 * 366 * DAY
LONGEST_NAME = 200
MOST_CALENDARS = 100
MOST_ENTRIES = 1000
HIGHEST_LEVEL = 99
TOP = "bundle"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KNOWN_BY_CLOCKS = 1 << 62  # microseconds: 146,000 years; the log's numbers end at 2^63
BOUNDARIES: tuple[Boundary, ...] = ("next_open", "close")
REOPENS: tuple[Reopen, ...] = ("resume", "count_closed", "new_cycle")
CALL_OPENS: tuple[CallOpens, ...] = ("abandoned", "queued", "never")
OUTCOMES: tuple[On, ...] = ("warned", "breached")
_WINDOWS = ("join_window", "close_after", "concurrent_window", "repeat_window")
_OWNER = ("queue", "team", "organisation")
KEYS: Mapping[str, tuple[str, ...]] = {
    TOP: ("name", "calendars", "policies", "routes", "escalations", "queues", "tickets"),
    "calendar": ("tz", "hours", "holidays", "breaks", "overrides", "holidays_from"),
    "policy": ("name", "match", "calendar", "targets", "warnings", "boundary", "reopen"),
    "target": (*PRIORITIES, "pauses"),
    "route": ("match", "assign"),
    "assign": _OWNER,
    "escalation": ("name", "match", "when", "to", "level"),
    "when": ("metric", "outcome", "threshold"),
    "to": (*_OWNER, "person"),
    "queue": ("answer_within", "short_abandon", "formula"),
    "tickets": (*_WINDOWS, "subject_matter", "call_opens"),
}
"""What may stand in which part of a bundle."""

T = TypeVar("T")


def duration(value: object, where: str, least: int = 1) -> int:
    """Microseconds of ``"90s"``, ``"30m"``, ``"4h"``, ``"2d"`` (24 h each) or their sum ``"1h30m"``; at least ``least``
    seconds. Raises ``PolicyInvalid``."""
    if isinstance(value, str) and value:
        total, digits = 0, ""
        for char in value.replace(" ", ""):
            if char.isascii() and char.isdigit() and len(digits) < 18:
                digits += char
            elif char in _UNITS and digits:
                total, digits = total + int(digits) * _UNITS[char], ""
            else:
                total = -1
                break
        if total >= least and not digits:
            return min(total * SECOND, _KNOWN_BY_CLOCKS)
        if total == 0 and not digits:
            raise PolicyInvalid(Reason.BAD_VALUE, f"{value!r} is no time at all; write at least 1s", where)
    if isinstance(value, str) and value.strip().startswith("-"):
        raise PolicyInvalid(Reason.NEGATIVE_DURATION, f"{value!r} is negative; write for example 30m or 4h", where)
    raise PolicyInvalid(Reason.BAD_VALUE, f"{shown(value)} is no duration; write for example 30m, 4h or 1h30m", where)


def shown(value: object) -> str:
    """A value as it stands in a message: not endless, whatever it is."""
    if isinstance(value, Mapping | list | tuple | set):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not -(1 << 63) < value < 1 << 63:
        return "a number beyond all bounds"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _name(key: object) -> str:
    """A key as a name, where YAML made a number or a date of it; empty for what is neither."""
    if isinstance(key, str):
        return key
    if isinstance(key, date):
        return key.isoformat()
    return str(key) if isinstance(key, int) and not isinstance(key, bool) and abs(key) < 1 << 63 else ""


def read_bundle(document: object, version: int) -> Bundle:
    """A bundle of what ``document`` says, in the shape of docs/policies.md.

    Raises ``PolicyInvalid`` or ``CalendarInvalid`` with the place of the first thing that can't be read.
    """
    reader = Reader(strict=False)
    bundle = reader.bundle(document, version)
    if reader.found:
        raise reader.found[0]
    return bundle


class Reader:
    """Reads on after what is wrong; ``found`` is that, in the order of the document. ``strict``: for publishing now."""

    def __init__(self, strict: bool) -> None:
        self.found: list[HubError] = []
        self._strict = strict

    def bundle(self, document: object, version: int) -> Bundle:
        """All that can be used of a document."""
        top = self._mapping(document, TOP, TOP)
        calendars: dict[str, Calendar] = {}
        sources: dict[str, Mapping[str, str]] = {}
        bodies = self._mapping(top.get("calendars", {}), "calendars")
        if self._strict and len(bodies) > MOST_CALENDARS:
            self._refuse(Reason.TOO_LARGE, f"has more than {MOST_CALENDARS} calendars; split the bundle", "calendars")
            bodies = {}
        for name, body in bodies.items():
            self._check_name(name, f"calendars.{name}")
            read = self._calendar(body, f"calendars.{name}")
            if read is not None:
                calendars[name], told = read
                if told:
                    sources[name] = told
        found = self._each("policies", top, lambda body, where: self._policy(body, where, bodies))
        names: set[str] = set()
        for index, policy in enumerate(found):
            if policy.name and policy.name in names:
                self._refuse(Reason.OVERLAP, f"two policies are called {policy.name!r}", f"policies[{index}].name")
            names.add(policy.name)
        routes = self._each("routes", top, self._route)
        escalations = self._each("escalations", top, self._escalation)
        for index, each in enumerate(escalations):
            if each.name and each.name in [other.name for other in escalations[:index]]:
                self._refuse(Reason.OVERLAP, f"two are called {each.name!r}", f"escalations[{index}].name")
        queues = {
            name: self._queue(name, body, f"queues.{name}")
            for name, body in self._mapping(top.get("queues", {}), "queues").items()
        }
        tickets = self._mapping(top.get("tickets", {}), "tickets", "tickets")
        windows = {name: self._duration(tickets[name], f"tickets.{name}") for name in _WINDOWS if name in tickets}
        return Bundle(
            name=self._text(top.get("name", "default"), "name"),
            version=version,
            calendars=calendars,
            policies=found,
            routes=routes,
            join_window=windows.get("join_window", policies.JOIN_WINDOW),
            close_after=windows.get("close_after", policies.CLOSE_AFTER),
            escalations=escalations,
            queues=queues,
            subject_matter=self._texts(tickets.get("subject_matter", []), "tickets.subject_matter"),
            call_opens=self._one_of(CALL_OPENS, tickets.get("call_opens", "abandoned"), "tickets.call_opens"),
            concurrent_window=windows.get("concurrent_window", policies.CONCURRENT_WINDOW),
            repeat_window=windows.get("repeat_window", policies.REPEAT_WINDOW),
            sources=sources,
        )

    def _calendar(self, body: object, where: str) -> tuple[Calendar, Mapping[str, str]] | None:
        given = dict(self._mapping(body, where))
        told = {
            at: self._text(text, f"{where}.holidays_from.{at}")
            for at, text in self._mapping(given.pop("holidays_from", {}), f"{where}.holidays_from").items()
        }
        holidays, foreign = given.get("holidays"), False
        for index, entry in enumerate(holidays if isinstance(holidays, list) else ()):
            if isinstance(entry, Mapping):
                foreign = True
                self._refuse(
                    Reason.BAD_VALUE,
                    "a country or a feed is turned into dates by `hub policy apply`; on the log stand dates",
                    f"{where}.holidays[{index}]",
                )
        try:
            return Calendar.from_mapping(given, where), told
        except CalendarInvalid as error:
            self.found += calendar_faults(given, where) or ([] if foreign else [error])
            return None

    def _policy(self, body: object, where: str, calendars: Mapping[str, object]) -> Policy:
        given = self._mapping(body, where, "policy")
        calendar = self._text(given.get("calendar"), f"{where}.calendar")
        if calendar and calendar not in calendars:
            self._refuse(
                Reason.UNKNOWN_KEY,
                f"there is no calendar {calendar!r} in this bundle; there are {', '.join(calendars) or 'none'}",
                f"{where}.calendar",
            )
        promised = self._mapping(given.get("targets"), f"{where}.targets", METRICS)
        targets = {
            metric: self._target(metric, target, f"{where}.targets.{metric}") for metric, target in promised.items()
        }
        if given.get("targets") == {}:
            self._refuse(Reason.MISSING_FIELD, "a policy promises at least one thing", f"{where}.targets")
        return Policy(
            name=self._text(given.get("name"), f"{where}.name"),
            match=self._match(given.get("match", {}), f"{where}.match"),
            calendar=calendar,
            targets=targets,
            warnings=self._warnings(given.get("warnings", list(WARNINGS)), f"{where}.warnings"),
            boundary=self._one_of(BOUNDARIES, given.get("boundary", "next_open"), f"{where}.boundary"),
            reopen=self._one_of(REOPENS, given.get("reopen", "resume"), f"{where}.reopen"),
        )

    def _target(self, metric: str, body: object, where: str) -> Target:
        pauses = PAUSES.get(metric, frozenset())
        if isinstance(body, str):
            return Target(metric, dict.fromkeys(PRIORITIES, self._duration(body, where)), pauses)
        given = self._mapping(body, where, "target")
        durations = {
            priority: self._duration(given[priority], f"{where}.{priority}")
            for priority in PRIORITIES
            if priority in given
        }
        if not durations:
            self._refuse(Reason.MISSING_FIELD, "name a duration for at least one priority", where)
        if "pauses" in given:
            said = self._sequence(given["pauses"], f"{where}.pauses")
            pauses = frozenset(
                self._one_of(STATUSES, status, f"{where}.pauses[{index}]", Reason.UNKNOWN_STATUS)
                for index, status in enumerate(said)
            )
        return Target(metric, durations, pauses)

    def _warnings(self, value: object, where: str) -> tuple[int, ...]:
        found = {self._threshold(each, f"{where}[{i}]") for i, each in enumerate(self._sequence(value, where))}
        return tuple(sorted((each for each in found if each), key=lambda each: (each < 0, each)))

    def _threshold(self, value: object, where: str) -> int:
        """A percent, or minus the seconds of a lead; 0 for neither."""
        if isinstance(value, str):
            return -self._duration(value, where) // SECOND
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100:
            return value
        what = f"{shown(value)} is no warning; write a percent of the target from 1 to 99, or a lead such as 15m"
        self._refuse(Reason.BAD_VALUE, what, where)
        return 0

    def _route(self, body: object, where: str) -> Route:
        given = self._mapping(body, where, "route")
        assign = self._mapping(given.get("assign"), f"{where}.assign", "assign")
        owner = {name: self._text(value, f"{where}.assign.{name}") for name, value in assign.items()}
        if self._strict and given.get("assign") == {}:
            self._refuse(Reason.MISSING_FIELD, "say to which queue, team or organisation", f"{where}.assign")
        match = self._match(given.get("match", {}), f"{where}.match")
        return Route(match, owner.get("queue"), owner.get("team"), owner.get("organisation"))

    def _escalation(self, body: object, where: str) -> Escalation:
        given = self._mapping(body, where, "escalation")
        when = self._mapping(given.get("when"), f"{where}.when", "when")
        to = self._mapping(given.get("to"), f"{where}.to", "to")
        owner = {name: self._text(value, f"{where}.to.{name}") for name, value in to.items()}
        if given.get("to") == {}:
            what = "say to which queue, team, organisation or person"
            self._refuse(Reason.MISSING_FIELD, what, f"{where}.to")
        on = self._one_of(OUTCOMES, when.get("outcome"), f"{where}.when.outcome")
        threshold = None
        if "threshold" in when:
            threshold = self._threshold(when["threshold"], f"{where}.when.threshold")
            if on == "breached":
                what = "a breach has no threshold; leave it out, or write outcome: warned"
                self._refuse(Reason.BAD_VALUE, what, f"{where}.when.threshold")
        level = given.get("level", 1)
        if not isinstance(level, int) or isinstance(level, bool) or not 1 <= level <= HIGHEST_LEVEL:
            what = f"{shown(level)} is no level; write a number from 1 to {HIGHEST_LEVEL}"
            self._refuse(Reason.BAD_VALUE, what, f"{where}.level")
            level = 1
        return Escalation(
            name=self._text(given.get("name"), f"{where}.name"),
            match=self._match(given.get("match", {}), f"{where}.match"),
            metric=self._one_of(METRICS, when.get("metric"), f"{where}.when.metric"),
            on=on,
            threshold=threshold,
            level=level,
            queue=owner.get("queue"),
            team=owner.get("team"),
            organisation=owner.get("organisation"),
            person=owner.get("person"),
        )

    def _queue(self, name: str, body: object, where: str) -> QueueTerms:
        self._check_name(name, where)
        given = self._mapping(body, where, "queue")
        formula = self._text(given.get("formula", policies.FORMULA), f"{where}.formula")
        if self._strict and formula:
            self._one_of(SERVICE_LEVELS, formula, f"{where}.formula")
        return QueueTerms(
            name,
            self._duration(given.get("answer_within", "20s"), f"{where}.answer_within"),
            self._duration(given.get("short_abandon", "5s"), f"{where}.short_abandon", least=0),
            formula,
        )

    def _match(self, body: object, where: str) -> Match:
        conditions: list[tuple[str, frozenset[str]]] = []
        for name, value in self._mapping(body, where, MATCHABLE).items():
            here = f"{where}.{name}"
            accepted = self._texts(value, here) if isinstance(value, list) else (self._text(value, here),)
            if name == "priority" and self._strict:
                for each in accepted:
                    self._one_of(PRIORITIES, each, here, Reason.UNKNOWN_PRIORITY)
            if not accepted and self._strict:
                self._refuse(Reason.MISSING_FIELD, "accepts nothing, so it never holds; leave it out", here)
            conditions.append((name, frozenset(accepted)))
        return Match(tuple(sorted(conditions, key=lambda condition: condition[0])))

    # --- what every part is made of

    def _refuse(self, reason: Reason, detail: str, where: str) -> None:
        self.found.append(PolicyInvalid(reason, detail, where))

    def _each(self, name: str, top: Mapping[str, object], read: Callable[[object, str], T]) -> list[T]:
        bodies = self._sequence(top.get(name, []), name)
        if self._strict and len(bodies) > MOST_ENTRIES:
            self._refuse(Reason.TOO_LARGE, f"has more than {MOST_ENTRIES} entries; split the bundle", name)
            return []
        return [read(body, f"{name}[{index}]") for index, body in enumerate(bodies)]

    def _mapping(self, value: object, where: str, part: str | Sequence[str] = "") -> Mapping[str, object]:
        """``part``: the part of ``KEYS``, or the keys themselves, that may stand in it; empty for any names."""
        if not isinstance(value, Mapping):
            missing = value is None
            what = f"this is to be a mapping, not {'empty' if missing else type(value).__name__}"
            self._refuse(Reason.MISSING_FIELD if missing else Reason.BAD_VALUE, what, where)
            return {}
        keys = KEYS[part] if isinstance(part, str) and part else part
        found: dict[str, object] = {}
        for key, entry in value.items():
            name = _name(key)
            place = name if where == TOP else f"{where}.{name}"
            if keys and name not in keys:
                what = f"{shown(key)} is not known here; known are {', '.join(keys)}"
                self._refuse(Reason.UNKNOWN_KEY, what, place)
                continue
            if not name and (self._strict or not isinstance(key, str)):
                self._refuse(Reason.BAD_VALUE, f"{shown(key)} is no name; write a text", where)
            elif name in found:
                self._refuse(Reason.OVERLAP, f"{name!r} is written twice; keep one of them", place)
            found[name] = entry
        return found

    def _sequence(self, value: object, where: str) -> Sequence[object]:
        if not isinstance(value, list | tuple):
            self._refuse(Reason.BAD_VALUE, f"this is to be a list, not {type(value).__name__}", where)
            return ()
        return value

    def _texts(self, value: object, where: str) -> tuple[str, ...]:
        return tuple(self._text(each, f"{where}[{i}]") for i, each in enumerate(self._sequence(value, where)))

    def _text(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not value:
            if isinstance(value, bool | int | float):
                what = f"a text is needed here, not {shown(value)}; quote what YAML reads as something else"
            else:
                what = "a text is needed here"
            self._refuse(Reason.MISSING_FIELD, what, where)
            return ""
        self._check_name(value, where)
        return value

    def _check_name(self, value: str, where: str) -> None:
        """Names come to stand in tables and keys: no null character, no half of a surrogate pair, and no long texts."""
        if not self._strict:
            return
        if len(value) > LONGEST_NAME or not value.isprintable():
            what = f"{shown(value)} has more than {LONGEST_NAME} characters, or some that can't be printed"
            self._refuse(Reason.BAD_VALUE, what, where)

    def _duration(self, value: object, where: str, least: int = 1) -> int:
        try:
            found = duration(value, where, least)
        except PolicyInvalid as error:
            self.found.append(error)
            return SECOND
        if self._strict and found > LONGEST:
            self._refuse(Reason.BAD_VALUE, f"{shown(value)} is longer than 50 years", where)
        return found

    def _one_of(self, known: Sequence[T], value: object, where: str, reason: Reason = Reason.BAD_VALUE) -> T:
        for each in known:
            if each == value:
                return each
        choice = ", ".join(map(str, known))
        if value is None:
            self._refuse(Reason.MISSING_FIELD, f"say one of {choice}", where)
        else:
            self._refuse(reason, f"{shown(value)} is not one of {choice}", where)
        return known[0]
