"""The hub's business time and the peers', asked the same in one process: ``python -m bench.peers.hours ASKED``.

``businesstimedelta`` walks from opening to opening in a loop, ``business-duration`` from date to date with pandas, and
neither keeps anything between two questions. All work on one calendar in UTC (a zone would cost the peers more), and
before anything is timed their answers are compared with the hub's. Imports nothing that the peers' own environment
lacks; who isn't installed is left out.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

import msgspec

from bench.measuring import median
from domain.business_time import Calendar
from domain.calendars import DAYS

HUB = "hub"
DELTA, DURATION = "businesstimedelta", "business-duration"
BETWEEN, ADD = "between", "add"
FIRST, LAST = 2015, 2035
_OPENS, _CLOSES = time(9), time(17)
_ANNUAL = ((1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31))
HOLIDAYS = frozenset(date(year, *day) for year in range(FIRST, LAST + 1) for day in _ANNUAL)
_LEAST = 0.005  # seconds that the hub is timed for at once
_MOST = 0.06  # seconds that a peer is timed for at once, about


class Asked(msgspec.Struct, frozen=True):
    """``spans`` in days; ``pairs`` of instants of each that the answers are compared for; rounds of timing."""

    spans: tuple[int, ...] = (1, 30, 365, 3650)
    pairs: int = 40
    rounds: int = 7
    seed: int = 1


class Told(msgspec.Struct, frozen=True):
    """One contender, one question, one span. ``microseconds`` of CPU time a call, the median of the rounds; ``ratio``:
    how many times the hub's, the median of paired rounds; ``differences``: of ``compared`` answers, from the hub's."""

    contender: str
    question: str
    days: int
    microseconds: float
    ratio: float
    compared: int
    differences: int


class Hours(msgspec.Struct, frozen=True):
    """``spread``: of the hub's own calls, the longest span over the shortest, by question. ``first_answer``: ms of CPU
    time that a new calendar takes for its first answer over so many days. ``absent``: why, by contender."""

    told: list[Told]
    spread: dict[str, float]
    first_answer: dict[int, float]
    absent: dict[str, str]


# Any: a peer's answer, which is compared and nothing else; and what a question's second argument is differs
Ask = Callable[[datetime, Any], Any]


def contenders() -> tuple[dict[tuple[str, str], Ask], dict[str, str]]:
    """How each is asked each question, by (contender, question), and who is absent."""
    hub = rules()
    asks: dict[tuple[str, str], Ask] = {
        (HUB, BETWEEN): hub.between,
        (HUB, ADD): lambda start, amount: hub.add(start, amount, "close"),
    }
    absent: dict[str, str] = {}
    try:
        import businesstimedelta as other  # only the bench's own requirements bring it
    except ImportError:
        absent[DELTA] = "it is not installed: run deploy/local/setup bench"
    else:
        week = other.Rules([other.WorkDayRule(_OPENS, _CLOSES, [0, 1, 2, 3, 4]), other.HolidayRule(HOLIDAYS)])
        asks[DELTA, BETWEEN] = lambda start, end: week.difference(start, end).timedelta
        asks[DELTA, ADD] = lambda start, amount: start + other.BusinessTimeDelta(week, timedelta=amount)
    try:
        from business_duration import businessDuration  # as above
    except ImportError:
        absent[DURATION] = "it is not installed: run deploy/local/setup bench"
    else:
        asks[DURATION, BETWEEN] = lambda start, end: timedelta(
            seconds=businessDuration(
                start.replace(tzinfo=None), end.replace(tzinfo=None), _OPENS, _CLOSES, holidaylist=HOLIDAYS, unit="sec"
            )
        )
    return asks, absent


def rules() -> Calendar:
    """Nine to five on five days a week, and seven holidays a year."""
    hours = {day: [[f"{_OPENS:%H:%M}", f"{_CLOSES:%H:%M}"]] for day in DAYS[:5]}
    return Calendar.from_mapping({"tz": "Etc/UTC", "hours": hours, "holidays": sorted(map(str, HOLIDAYS))})


def measure(asked: Asked) -> Hours:
    """Compare the answers, then time everybody in turn, round by round."""
    asks, absent = contenders()
    random = Random(asked.seed)
    # Open ones: what a duration of nothing gives from a closed one, each defines in its own way.
    starts = [_RULES.next_open(_instant(random)) for _ in range(asked.pairs)]
    told: list[Told] = []
    hub: dict[tuple[str, int], list[float]] = {}
    for question in (BETWEEN, ADD):
        for days in asked.spans:
            pairs = [(start, _second(question, start, days)) for start in starts]
            found = _compared(question, days, pairs, asks, asked.rounds)
            hub[question, days] = [ours for ours, _ in found[HUB][0]]
            told += [_told(name, question, days, *each) for name, each in found.items()]
    spread = {question: _spread(question, asked, starts, asks[HUB, question]) for question in (BETWEEN, ADD)}
    return Hours(told, spread, {days: _first_answer(days) for days in asked.spans}, absent)


def _instant(random: Random) -> datetime:
    return datetime(FIRST + 1, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(8 * 365 * 86_400))


def _second(question: str, start: datetime, days: int) -> Any:
    """What is asked beside the start: the end, or an amount that leads to about that end."""
    end = start + timedelta(days=days)
    return end if question == BETWEEN else _RULES.between(start, end)


_RULES = rules()


def _compared(
    question: str, days: int, pairs: Sequence[tuple[datetime, Any]], asks: dict[tuple[str, str], Ask], rounds: int
) -> dict[str, tuple[list[tuple[float, float]], int, int]]:
    """By contender: seconds a call of the hub and of it, round by round; answers compared, and how many differ."""
    names = [name for name, asked in asks if asked == question]
    reference = [asks[HUB, question](*pair) for pair in pairs]
    found: dict[str, tuple[list[tuple[float, float]], int, int]] = {}
    chosen: dict[str, Sequence[tuple[datetime, Any]]] = {}
    for name in names:
        began = clock.process_time()
        answers = [asks[name, question](*pair) for pair in pairs]
        each = (clock.process_time() - began) / len(pairs)
        chosen[name] = pairs[: max(2, min(len(pairs), round(_MOST / max(each, 1e-9))))]
        found[name] = ([], len(pairs), sum(a != b for a, b in zip(answers, reference, strict=True)))
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            ours = _timed(asks[HUB, question], chosen[name])
            theirs = ours if name == HUB else _timed(asks[name, question], chosen[name])
            found[name][0].append((ours, theirs))
    return found


def _timed(ask: Ask, pairs: Sequence[tuple[datetime, Any]]) -> float:
    """Seconds of CPU time a call, over as many calls as take long enough to be told."""
    calls, began = 0, clock.process_time()
    while (passed := clock.process_time() - began) < _LEAST:
        for start, second in pairs:
            ask(start, second)
        calls += len(pairs)
    return passed / calls


def _told(
    name: str, question: str, days: int, timed: Sequence[tuple[float, float]], compared: int, differences: int
) -> Told:
    microseconds = round(median([theirs for _, theirs in timed]) * 1e6, 2)
    ratio = round(median([theirs / ours for ours, theirs in timed]), 2)
    return Told(name, question, days, microseconds, ratio, compared, differences)


def _spread(question: str, asked: Asked, starts: Sequence[datetime], ask: Ask) -> float:
    """The longest span over the shortest, in paired rounds."""
    short, long = (
        [(start, _second(question, start, days)) for start in starts] for days in (min(asked.spans), max(asked.spans))
    )
    return round(median([_timed(ask, long) / _timed(ask, short) for _ in range(2 * asked.rounds + 1)]), 2)


def _first_answer(days: int) -> float:
    start = datetime(FIRST + 2, 3, 1, 12, tzinfo=UTC)
    fresh = Calendar(_RULES.rules)
    began = clock.process_time()
    fresh.between(start, start + timedelta(days=days))
    return round((clock.process_time() - began) * 1000, 2)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(measure(msgspec.json.decode(sys.argv[1], type=Asked))).decode() + "\n")
