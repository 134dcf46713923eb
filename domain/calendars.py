"""Reads a calendar as people write it (time zone, weekly hours, holidays, breaks, overrides) into checked rules.

It knows local dates and wall-clock seconds only; instants, and everything that depends on the time zone's
changes, are in ``domain.business_time``. Whatever is doubtful is refused here, with its place in the input,
so that nothing has to be guessed while a clock runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import CalendarInvalid, Reason

Span = tuple[int, int]
"""Half-open, start before end: wall-clock seconds of a date, or microseconds since the epoch."""

Annual = tuple[int, int]
"""Month and day."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_SECONDS = 86_400
FIRST_DATE = date(1899, 12, 31).toordinal()
LAST_DATE = date(2200, 1, 1).toordinal()
"""The dates a calendar is worked out for: 1900 to 2199, and one more at each end for zones ahead of and behind UTC."""
LONGEST_CLOSURE_DAYS = 20 * 366
"""No calendar may stay closed for longer: what looks for the next opening then always ends soon."""

_KEYS = ("tz", "hours", "holidays", "breaks", "overrides")
_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_ANNUAL = re.compile(r"(\d\d)-(\d\d)", re.ASCII)
_LEAP_YEAR = 2024
_YEAR = tuple((day.month, day.day) for day in (date(_LEAP_YEAR, 1, 1) + timedelta(days=n) for n in range(366)))
# Files of the zone database that are no places: they follow the machine, or count leap seconds.
_NO_PLACES = ("localtime", "posixrules", "Factory", "right/", "posix/")


@dataclass(frozen=True)
class Days:
    """Spans by date, where a full date beats an annual one."""

    dated: Mapping[int, tuple[Span, ...]]
    annual: Mapping[Annual, tuple[Span, ...]]

    def on(self, ordinal: int) -> tuple[Span, ...] | None:
        found = self.dated.get(ordinal)
        if found is None and self.annual:
            day = date.fromordinal(ordinal)
            found = self.annual.get((day.month, day.day))
        return found

    def written(self) -> dict[str, list[list[str]]]:
        by_key = {_annual_text(at): spans for at, spans in self.annual.items()}
        by_key |= {date.fromordinal(at).isoformat(): spans for at, spans in self.dated.items()}
        return {key: _spans_text(by_key[key]) for key in sorted(by_key)}


@dataclass(frozen=True)
class CalendarRules:
    """A calendar in local dates (proleptic ordinals) and wall-clock seconds, checked and in one normal form."""

    tz: str
    weekly: tuple[tuple[Span, ...], ...]
    holidays: tuple[Span, ...]
    annual_holidays: frozenset[Annual]
    breaks: Days
    overrides: Days

    def hours_on(self, ordinal: int) -> tuple[Span, ...]:
        """Wall-clock hours of a date before breaks: none on a holiday, else its override, else its weekday's."""
        i = bisect_right(self.holidays, (ordinal, LAST_DATE + 1)) - 1
        if i >= 0 and ordinal < self.holidays[i][1]:
            return ()
        if self.annual_holidays:
            day = date.fromordinal(ordinal)
            if (day.month, day.day) in self.annual_holidays:
                return ()
        override = self.overrides.on(ordinal)
        return self.weekly[(ordinal - 1) % 7] if override is None else override

    def breaks_on(self, ordinal: int) -> tuple[Span, ...]:
        return self.breaks.on(ordinal) or ()

    @cached_property
    def always_open(self) -> bool:
        """True if nothing in it ever closes: seven whole days, no exceptions."""
        whole = all(spans == ((0, DAY_SECONDS),) for spans in self.weekly)
        exceptions = self.holidays, self.annual_holidays, self.breaks.dated, self.breaks.annual
        return whole and not any(exceptions) and not self.overrides.dated and not self.overrides.annual

    @cached_property
    def canonical(self) -> str:
        """JSON in the format that ``parse`` reads: the same for every way to write the same rules."""
        holidays = [_annual_text(at) for at in self.annual_holidays]
        for first, end in self.holidays:
            bounds = date.fromordinal(first).isoformat(), date.fromordinal(end - 1).isoformat()
            holidays.append(bounds[0] if end == first + 1 else "/".join(bounds))
        document = {
            "tz": self.tz,
            "hours": {day: _spans_text(spans) for day, spans in zip(DAYS, self.weekly, strict=True) if spans},
            "holidays": sorted(holidays),
            "breaks": self.breaks.written(),
            "overrides": self.overrides.written(),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """sha256 of ``canonical`` in hex (64 characters): the calendar's version in evidence."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()


def union(spans: Sequence[Span]) -> list[Span]:
    """The same time as sorted spans that neither touch nor overlap."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def without(spans: Sequence[Span], gaps: Sequence[Span]) -> list[Span]:
    """``spans`` less the time in ``gaps``; both sorted and free of overlaps."""
    left: list[Span] = []
    for start, end in spans:
        for gap_start, gap_end in gaps:
            if gap_end <= start or gap_start >= end:
                continue
            if gap_start > start:
                left.append((start, gap_start))
            start = max(start, gap_end)
        if start < end:
            left.append((start, end))
    return left


def parse(mapping: Mapping[str, object], where: str = "calendar") -> CalendarRules:
    """Checked rules from a mapping as YAML or JSON gives it.

    - ``tz``: a name of the IANA database; ``Etc/UTC`` if absent.
    - ``hours``: ``{"mon": [["09:00", "12:00"], ["13:00", "17:00"]], …}``; a day that is absent is closed.
      Times are ``HH:MM`` or ``HH:MM:SS``; ``24:00`` ends a day; a night shift is two intervals, on two days.
    - ``holidays``: list of ``2026-05-01`` (once), ``12-25`` (each year), ``2026-12-24/2027-01-01`` and
      ``12-24/01-02`` (ranges, both ends included). A holiday beats an override.
    - ``overrides``: hours of a date (or of an annual date) in place of its weekday's.
    - ``breaks``: time of a date (or of an annual date) that is taken out of its hours.

    All dates are those of ``tz``. Raises CalendarInvalid, whose ``where`` is the place below the given ``where``; also
    for a calendar that stays closed for 20 years or more.
    """
    for key in _mapping(mapping, where):
        if key not in _KEYS:
            raise CalendarInvalid(
                Reason.UNKNOWN_KEY, f"is no part of a calendar; known are {', '.join(_KEYS)}", f"{where}.{key}"
            )
    holidays, annual_holidays = _holidays(mapping.get("holidays", []), f"{where}.holidays")
    rules = CalendarRules(
        tz=zone(mapping.get("tz", "Etc/UTC"), f"{where}.tz").key,
        weekly=_weekly(mapping.get("hours", {}), f"{where}.hours"),
        holidays=holidays,
        annual_holidays=annual_holidays,
        breaks=_days(mapping.get("breaks", {}), f"{where}.breaks"),
        overrides=_days(mapping.get("overrides", {}), f"{where}.overrides"),
    )
    _check_it_reopens(rules, where)
    return rules


def zone(value: object, where: str) -> ZoneInfo:
    """The time zone of that name. Raises CalendarInvalid."""
    if isinstance(value, str) and not value.startswith(_NO_PLACES):
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise CalendarInvalid(Reason.UNKNOWN_ZONE, f"{value!r} is no time zone; write a name like Europe/Berlin", where)


def _check_it_reopens(rules: CalendarRules, where: str) -> None:
    position = FIRST_DATE
    while position + LONGEST_CLOSURE_DAYS <= LAST_DATE:
        window = range(position + LONGEST_CLOSURE_DAYS - 1, position - 1, -1)
        last_open = next((day for day in window if without(rules.hours_on(day), rules.breaks_on(day))), None)
        if last_open is None:
            raise CalendarInvalid(
                Reason.NEVER_OPENS,
                f"is closed for 20 years or more from {date.fromordinal(position)}; shorten its holidays or breaks",
                where,
            )
        position = last_open + 1


def _mapping(value: object, where: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise CalendarInvalid(Reason.BAD_VALUE, f"must be a mapping, not {value!r}", where)
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise CalendarInvalid(Reason.BAD_VALUE, f"must be a list, not {value!r}", where)
    return value


def _weekly(value: object, where: str) -> tuple[tuple[Span, ...], ...]:
    hours = _mapping(value, where)
    if not hours:
        raise CalendarInvalid(
            Reason.NO_HOURS, 'has no opening hours; write at least one day, as mon: [["09:00", "17:00"]]', where
        )
    for day in hours:
        if day not in DAYS:
            raise CalendarInvalid(Reason.UNKNOWN_KEY, f"is no day; write one of {', '.join(DAYS)}", f"{where}.{day}")
    return tuple(_spans(hours[day], f"{where}.{day}") if day in hours else () for day in DAYS)


def _spans(value: object, where: str) -> tuple[Span, ...]:
    spans: list[tuple[Span, str]] = []
    for i, pair in enumerate(_list(value, where)):
        here = f"{where}[{i}]"
        bounds = _list(pair, here)
        if len(bounds) != 2:
            raise CalendarInvalid(
                Reason.BAD_INTERVAL, f'must be a start and an end, as ["09:00", "17:00"], not {pair!r}', here
            )
        start, end = _seconds(bounds[0], here), _seconds(bounds[1], here)
        if start >= end:
            raise CalendarInvalid(
                Reason.BAD_INTERVAL,
                f"{bounds[0]} to {bounds[1]} does not end after it starts; a "
                f"day ends at 24:00, and a night shift is two intervals on two days",
                here,
            )
        spans.append(((start, end), here))
    if not spans:
        raise CalendarInvalid(
            Reason.NO_HOURS, "has no interval; leave a closed day out, or list a closed date under holidays", where
        )
    spans.sort()
    for (before, _), (after, here) in pairwise(spans):
        if after[0] < before[1]:
            raise CalendarInvalid(
                Reason.OVERLAP,
                f"{' to '.join(_spans_text([after])[0])} overlaps "
                f"{' to '.join(_spans_text([before])[0])}; write them as one",
                here,
            )
    return tuple(union([span for span, _ in spans]))


def _seconds(value: object, where: str) -> int:
    if isinstance(value, int):
        raise CalendarInvalid(
            Reason.BAD_INTERVAL,
            f'{value!r} is a number (YAML reads 17:00 without quotes as 1020); write times in quotes, as "17:00"',
            where,
        )
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    seconds = DAY_SECONDS + 1
    if match is not None:
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
    if seconds > DAY_SECONDS:
        raise CalendarInvalid(
            Reason.BAD_INTERVAL, f"{value!r} is no time of day; write HH:MM or HH:MM:SS, up to 24:00", where
        )
    return seconds


def _date(value: object, where: str) -> int | Annual:
    """An ordinal for a full date, month and day for an annual one."""
    if isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, str):
        try:
            if full := _DATE.fullmatch(value):
                return _in_range(date(int(full[1]), int(full[2]), int(full[3])), where)
            if annual := _ANNUAL.fullmatch(value):
                day = date(_LEAP_YEAR, int(annual[1]), int(annual[2]))
                return day.month, day.day
        except ValueError:
            pass  # a date that no year has, such as 02-30: refused with the rest
    raise CalendarInvalid(Reason.BAD_VALUE, f"{value!r} is no date; write 2026-05-01, or 05-01 for each year", where)


def _in_range(day: date, where: str) -> int:
    if not 1900 <= day.year < 2200:
        raise CalendarInvalid(Reason.BAD_VALUE, f"{day} is outside of the years 1900 to 2199", where)
    return day.toordinal()


def _days(value: object, where: str) -> Days:
    dated: dict[int, tuple[Span, ...]] = {}
    annual: dict[Annual, tuple[Span, ...]] = {}
    for key, spans in _mapping(value, where).items():
        here = f"{where}.{key}"
        at = _date(key, here)
        if at in dated or at in annual:
            raise CalendarInvalid(Reason.BAD_VALUE, "is written twice; keep one of them", here)
        if isinstance(at, int):
            dated[at] = _spans(spans, here)
        else:
            annual[at] = _spans(spans, here)
    return Days(dated, annual)


def _holidays(value: object, where: str) -> tuple[tuple[Span, ...], frozenset[Annual]]:
    dated: list[Span] = []
    annual: set[Annual] = set()
    for i, entry in enumerate(_list(value, where)):
        here = f"{where}[{i}]"
        bounds: Sequence[object] = entry.split("/") if isinstance(entry, str) else (entry,)
        first, last = _date(bounds[0], here), _date(bounds[-1], here)
        if len(bounds) <= 2 and isinstance(first, int) and isinstance(last, int) and first <= last:
            dated.append((first, last + 1))
        elif len(bounds) <= 2 and isinstance(first, tuple) and isinstance(last, tuple):
            annual.update(_annual_range(first, last))
        else:
            raise CalendarInvalid(
                Reason.BAD_VALUE,
                f"{entry!r} is no range of dates; write the first and the last "
                f"day, as 2026-12-24/2027-01-01 or 12-24/01-01",
                here,
            )
    return tuple(union(dated)), frozenset(annual)


def _annual_range(first: Annual, last: Annual) -> tuple[Annual, ...]:
    """Both ends included; a range whose end comes first goes over New Year."""
    start, end = _YEAR.index(first), _YEAR.index(last) + 1
    return _YEAR[start:end] if start < end else _YEAR[start:] + _YEAR[:end]


def _annual_text(at: Annual) -> str:
    return f"{at[0]:02}-{at[1]:02}"


def _spans_text(spans: Sequence[Span]) -> list[list[str]]:
    return [[_time_text(start), _time_text(end)] for start, end in spans]


def _time_text(seconds: int) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text
