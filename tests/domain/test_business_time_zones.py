"""Business time at every kind of clock change that any place of the zone database has had in fifty years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from domain.business_time import Calendar, to_us
from domain.calendars import DAYS, Span, union, zone
from domain.errors import CalendarInvalid

HOUR = 3_600_000_000
FIRST, LAST = datetime(1975, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
STEP = timedelta(days=25)
HOURS: dict[str, list[list[str]]] = {
    "the whole day": [["00:00", "24:00"]],
    "office": [["09:00", "17:00"]],
    "night shift": [["00:00", "06:00"], ["22:00", "24:00"]],
    "split, in the small hours": [["00:30", "01:45"], ["02:00", "02:30"], ["02:45", "03:10"], ["23:15", "23:45"]],
}


@cache
def places() -> list[str]:
    """All zones that a calendar may have."""

    def accepted(name: str) -> bool:
        try:
            return bool(zone(name, "tz"))
        except CalendarInvalid:
            return False

    return sorted(filter(accepted, available_timezones()))


def changes(name: str) -> Iterator[datetime]:
    """The first minute after a zone's changes of clocks; two within so many days are passed over."""
    place = ZoneInfo(name)

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(place).utcoffset()

    looked_at = [FIRST + STEP * n for n in range((LAST - FIRST) // STEP)]
    for (before, was), (after, is_) in pairwise((at, offset(at)) for at in looked_at):
        if was != is_:
            low, high = 0, (after - before) // timedelta(minutes=1)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(before + timedelta(minutes=middle)) == was else (low, middle)
            yield before + timedelta(minutes=high)


@cache
def kinds() -> dict[tuple[object, ...], tuple[str, datetime]]:
    """One zone and change of each kind: from which offset to which, and at what time of day."""
    found: dict[tuple[object, ...], tuple[str, datetime]] = {}
    for name in places():
        place = ZoneInfo(name)
        for at in changes(name):
            before, after = (at - timedelta(minutes=1)).astimezone(place), at.astimezone(place)
            kind = before.utcoffset(), after.utcoffset(), after.time()
            found.setdefault(kind, (name, at))
    return found


def plainly(name: str, hours: list[list[str]], around: date) -> list[Span]:
    """The openings of the days around a date as SLA says them: bounds on the wall clock, each as its own instant."""
    place = ZoneInfo(name)

    def instant(day: date, seconds: int) -> int:
        return to_us(datetime.combine(day, time(), place) + timedelta(seconds=seconds))

    spans: list[Span] = []
    for day in (around + timedelta(days=n) for n in range(-5, 6)):
        if instant(day, 0) < instant(day, 86_400):  # else the zone left the date out
            bounds = [[int(text[:2]) * 3600 + int(text[3:]) * 60 for text in pair] for pair in hours]
            spans += [(instant(day, start), instant(day, end)) for start, end in bounds]
    return union([(start, end) for start, end in spans if start < end])


def test_the_kinds_are_found() -> None:
    assert len(places()) > 400
    found = kinds()
    assert len(found) > 150
    steps = {(after - before) // timedelta(minutes=1) for before, after, *_ in found}  # type: ignore[operator]  # offsets
    assert {-60, -30, 30, 60, 1440} <= steps


@pytest.mark.parametrize("hours", HOURS.values(), ids=HOURS)
def test_at_every_change_of_the_clocks_bounds_are_instants_and_verdict_and_due_agree(hours: list[list[str]]) -> None:
    # An override of a date in another century keeps whole days from the short way.
    rest = {"overrides": {"1901-01-01": [["00:00", "24:00"]]}}
    for name, changed in kinds().values():
        rules = Calendar.from_mapping({"tz": name, "hours": dict.fromkeys(DAYS, hours), **rest})
        at = to_us(changed)
        expected = plainly(name, hours, changed.astimezone(ZoneInfo(name)).date())
        low, high = at - 72 * HOUR, at + 72 * HOUR
        assert rules.openings_us(low, high) == [
            (max(start, low), min(end, high)) for start, end in expected if start < high and end > low
        ], (name, changed)
        for start in (at - 30 * HOUR, at - HOUR, at, at + 1):
            for target in (0, HOUR // 4, HOUR, rules.between_us(start, at + HOUR)):
                due = rules.add_us(start, target)
                assert rules.between_us(start, due) == target, (name, changed)
                assert rules.between_us(rules.subtract_us(due, target), due) == target, (name, changed)
                for now in (due - 1, due, due + 1, at - 1, at, at + 1):
                    assert (rules.between_us(start, now) > target) == (now > due), (name, changed)
