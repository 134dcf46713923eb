"""Arithmetic in business time: from an instant, so many open hours later; how much open time between two instants.

Instants are UTC, intervals half-open, and everything inside is whole microseconds since the epoch (no floats). A
calendar's openings stand in a table with running totals, so each question is a bisection or two, whatever the span.
The table covers 1900 to 2199 at most and grows, towards what is asked, within these bounds; what it has grown to
never changes an answer. What a policy makes of these answers (pauses, targets, verdicts) is in ``domain.sla``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from operator import sub
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from domain.calendars import FIRST_DATE, LAST_DATE, CalendarRules, Span, parse, union, without
from domain.errors import DurationInvalid, Reason

Boundary = Literal["next_open", "close"]
"""Which instant a duration ends at if it is used up exactly at a closing: the next opening, or that closing."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_US: Final = (datetime(1900, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
END_US: Final = (datetime(2200, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""Instants from EARLIEST_US up to, and not including, END_US can be asked about."""

_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
_EPOCH_DATE: Final = EPOCH.date().toordinal()
_GROWTH_DAYS: Final = 366

_Bounds = tuple[list[int], list[int]]


def to_us(at: datetime) -> int:
    """Microseconds since the epoch, exactly. Raises DurationInvalid if ``at`` has no time zone."""
    if at.utcoffset() is None:
        raise DurationInvalid(Reason.NAIVE_INSTANT, f"{at.isoformat()} has no time zone; give it one, such as +00:00")
    return (at - EPOCH) // _MICROSECOND


def from_us(at: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(microseconds=at)


class _Table(NamedTuple):
    """Openings of the local dates [first, end), as instants; complete for instants in [low, high).

    ``totals[i]`` is the open time before opening i, counted from the same point in every table of a calendar, so
    totals of one table can be looked up in the next; ``totals[-1]`` is the open time up to ``high``. The last
    closing is final only if it lies before ``high``.
    """

    low: int
    high: int
    opens: list[int]
    closes: list[int]
    totals: list[int]
    first: int
    end: int


_NOTHING: Final = _Table(EARLIEST_US, EARLIEST_US, [], [], [0], 0, 0)
"""Covers no instant: grown by a calendar's first question."""


class Calendar:
    """When a team works. A value: equal and hashable by its rules; the table inside is only a memory of answers.

    The methods in ``_us`` take and give whole microseconds since the epoch and are what a hot path calls; the others
    take aware datetimes and timedeltas and give UTC. Both raise DurationInvalid for an instant without a time zone,
    a negative duration, and an answer or question outside of the years 1900 to 2199.
    """

    __slots__ = ("_always", "_table", "_zone", "digest", "rules")

    def __init__(self, rules: CalendarRules) -> None:
        self.rules = rules
        #: The version of its rules: sha256 in hex (64 characters) of their canonical JSON.
        self.digest = rules.digest
        self._zone = ZoneInfo(rules.tz)
        self._always = rules.always_open
        self._table = _NOTHING

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], where: str = "calendar") -> Calendar:
        """Reads the format described at ``domain.calendars.parse``; raises CalendarInvalid with the place."""
        return cls(parse(mapping, where))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calendar) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Calendar {self.rules.tz} {self.digest[:12]}>"

    # --- with datetimes

    def add(self, start: datetime, duration: timedelta, boundary: Boundary = "next_open") -> datetime:
        """The instant at which ``duration`` of open time has passed since ``start``; see ``add_us``."""
        return from_us(self.add_us(to_us(start), duration // _MICROSECOND, boundary))

    def subtract(self, end: datetime, duration: timedelta) -> datetime:
        """The instant from which ``duration`` of open time passes until ``end``; see ``subtract_us``."""
        return from_us(self.subtract_us(to_us(end), duration // _MICROSECOND))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Open time in [start, end); negative if ``end`` comes first."""
        return timedelta(microseconds=self.between_us(to_us(start), to_us(end)))

    def is_open(self, at: datetime) -> bool:
        """True from an opening up to, and not including, its closing."""
        return self.is_open_us(to_us(at))

    def next_open(self, at: datetime) -> datetime:
        """``at`` itself if it is open then, else the next opening."""
        return from_us(self.next_open_us(to_us(at)))

    def next_close(self, at: datetime) -> datetime:
        """The end of the opening that ``at`` is in, or of the next one: always after ``at``."""
        return from_us(self.next_close_us(to_us(at)))

    def openings(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """The open time in [start, end) as intervals in order, cut off at both ends."""
        return [(from_us(a), from_us(b)) for a, b in self.openings_us(to_us(start), to_us(end))]

    # --- with microseconds since the epoch

    def add_us(self, start: int, duration: int, boundary: Boundary = "next_open") -> int:
        """The last instant at which no more than ``duration`` of open time has passed since ``start``.

        So ``at > add_us(start, target)`` and ``between_us(start, at) > target`` always say the same. With
        ``boundary="close"`` it is the first instant at which all of ``duration`` has passed: a closing, where the
        other is the next opening; else the same. ``add_us(start, 0)`` is ``start`` if that is open, else the next
        opening (``start`` itself with ``boundary="close"``).
        """
        if duration < 0:
            raise _negative(duration)
        if boundary != "next_open" and boundary != "close":
            raise DurationInvalid(Reason.BAD_VALUE, f"{boundary!r} is no boundary; give next_open or close")
        if self._always:
            if start >= EARLIEST_US and start + duration < END_US:
                return start + duration
            return _checked(_checked(start) + duration)  # One of them raises.
        low, high, opens, closes, totals, _, _ = self._table
        if not low <= start < high:
            low, high, opens, closes, totals, _, _ = self._covering(start)
        if not duration and boundary == "close":
            return start
        i = bisect_right(opens, start) - 1
        if i < 0:
            passed = totals[0] + duration
        else:
            closing = closes[i]
            passed = totals[i] + (start if start < closing else closing) - opens[i] + duration
        while passed >= totals[-1]:
            _, _, opens, closes, totals, _, _ = self._later(f"{duration} µs after {from_us(start)}")
        i = (bisect_right if boundary == "next_open" else bisect_left)(totals, passed) - 1
        return opens[i] + passed - totals[i]

    def subtract_us(self, end: int, duration: int) -> int:
        """The last instant from which exactly ``duration`` of open time passes until ``end``.

        That is an opening rather than the closing before it. It is never outside of business: with duration 0 it is
        ``end`` if that is open or a closing, else the closing before ``end``.
        """
        if duration < 0:
            raise _negative(duration)
        if self._always:
            if end - duration >= EARLIEST_US and end < END_US:
                return end - duration
            return _checked(_checked(end) - duration)  # One of them raises.
        table = self._at(end)
        left = _passed(table, end) - duration
        while left < table.totals[0] or not table.opens or table.opens[0] > end:
            table = self._earlier(f"{duration} µs before {from_us(end)}")
        if not duration:
            return min(end, table.closes[bisect_right(table.opens, end) - 1])
        i = bisect_right(table.totals, left) - 1
        return table.opens[i] + left - table.totals[i]

    def between_us(self, start: int, end: int) -> int:
        """Open microseconds in [start, end); negative if ``end`` comes first."""
        if self._always:
            if EARLIEST_US <= start < END_US and EARLIEST_US <= end < END_US:
                return end - start
            return -_checked(start) + _checked(end)  # One of them raises.
        low, high, opens, closes, totals, _, _ = self._table
        if not (low <= start < high and low <= end < high):
            self._covering(start)
            low, high, opens, closes, totals, _, _ = self._covering(end)
        i = bisect_right(opens, start) - 1
        if i < 0:
            passed = totals[0]
        else:
            closing = closes[i]
            passed = totals[i] + (start if start < closing else closing) - opens[i]
        i = bisect_right(opens, end) - 1
        if i < 0:
            return totals[0] - passed
        closing = closes[i]
        return totals[i] + (end if end < closing else closing) - opens[i] - passed

    def is_open_us(self, at: int) -> bool:
        """See ``is_open``."""
        if self._always:
            _checked(at)
            return True
        table = self._at(at)
        i = bisect_right(table.opens, at) - 1
        return i >= 0 and at < table.closes[i]

    def next_open_us(self, at: int) -> int:
        """See ``next_open``."""
        return self.add_us(at, 0)

    def next_close_us(self, at: int) -> int:
        """See ``next_close``. Raises DurationInvalid if it never closes after ``at``."""
        if self._always:
            raise _beyond(f"the closing after {from_us(_checked(at))}")
        table = self._at(at)
        i = bisect_right(table.closes, at)
        while i == len(table.closes) or table.closes[i] >= table.high:
            table = self._later(f"the closing after {from_us(at)}")
            i = bisect_right(table.closes, at)
        return table.closes[i]

    def openings_us(self, start: int, end: int) -> list[Span]:
        """See ``openings``."""
        if start >= end:
            return []
        if self._always:
            return [(_checked(start), _checked(end))]
        self._covering(start)
        table = self._covering(end)
        found = range(bisect_right(table.closes, start), bisect_left(table.opens, end))
        return [(max(start, table.opens[i]), min(end, table.closes[i])) for i in found]

    # --- the table

    def _at(self, at: int) -> _Table:
        """The table, complete at ``at``."""
        table = self._table
        return table if table.low <= at < table.high else self._covering(at)

    def _covering(self, at: int) -> _Table:
        """The table, grown until it is complete at ``at``."""
        day = _EPOCH_DATE + _checked(at) // _DAY_US
        if not self._table.end:
            self._table = _NOTHING._replace(first=day, end=day)
        while at >= self._table.high:
            self._grow_up(max(day, self._table.end) + _GROWTH_DAYS)
        while at < self._table.low:
            self._grow_down(min(day, self._table.first) - _GROWTH_DAYS)
        return self._table

    def _later(self, sought: str) -> _Table:
        if self._table.end > LAST_DATE:
            raise _beyond(sought)
        return self._grow_up(self._table.end + _GROWTH_DAYS)

    def _earlier(self, sought: str) -> _Table:
        if self._table.first <= FIRST_DATE:
            raise _beyond(sought)
        return self._grow_down(self._table.first - _GROWTH_DAYS)

    def _grow_up(self, end: int) -> _Table:
        table, end = self._table, min(end, LAST_DATE + 1)
        opens, closes = _stitched((table.opens, table.closes), self._opened(table.end, end))
        self._table = self._joined(table.first, end, opens, closes, total_before=table.totals[0])
        return self._table

    def _grow_down(self, first: int) -> _Table:
        table, first = self._table, max(first, FIRST_DATE)
        opens, closes = _stitched(self._opened(first, table.first), (table.opens, table.closes))
        before = table.totals[-1] - (sum(closes) - sum(opens))
        self._table = self._joined(first, table.end, opens, closes, total_before=before)
        return self._table

    def _joined(self, first: int, end: int, opens: list[int], closes: list[int], total_before: int) -> _Table:
        # At a midnight that the clocks skip, the bounds of the day before may resolve to later than those of the
        # day after; up to the earlier reading of it the table is complete.
        midnight = min(self._instant(end, 0), self._instant(end, 0, fold=1))
        low, high = max(self._instant(first, 0), EARLIEST_US), min(midnight, END_US)
        totals = list(accumulate(map(sub, closes, opens), initial=total_before))
        return _Table(low, high, opens, closes, totals, first, end)

    def _opened(self, first: int, end: int) -> _Bounds:
        """The bounds of all openings of the local dates [first, end)."""
        spans: list[Span] = []
        midnight = self._instant(first, 0)
        for day in range(first, end):
            before, midnight = midnight, self._instant(day + 1, 0)
            if hours := self.rules.hours_on(day):
                breaks = self.rules.breaks_on(day)
                # Since 1900 no zone has changed its clocks twice within three days: a day of 24 hours has no change.
                if midnight - before == _DAY_US and not breaks:
                    spans += [(before + start * _SECOND_US, before + end * _SECOND_US) for start, end in hours]
                elif midnight > before:  # Else its zone left the date out, as Apia did with 2011-12-30.
                    spans += without(self._resolved(day, hours), self._resolved(day, breaks))
        within = [(max(start, EARLIEST_US), min(end, END_US)) for start, end in union(spans)]
        within = [(start, end) for start, end in within if start < end]
        return [start for start, _ in within], [end for _, end in within]

    def _resolved(self, day: int, spans: Sequence[Span]) -> list[Span]:
        bounds = [(self._instant(day, start), self._instant(day, end)) for start, end in spans]
        # The start alone may be in the hour that a change of the clocks skips, and so come out after the end.
        return union([(start, end) for start, end in bounds if start < end])

    def _instant(self, day: int, seconds: int, fold: int = 0) -> int:
        """A wall-clock time (up to 24:00) as an instant: moved forward by a gap, the first of two in a fold.

        With ``fold=1`` it is moved back by a gap, the second of two in a fold (PEP 495).
        """
        day, seconds = day + seconds // 86_400, seconds % 86_400
        local = datetime.combine(date.fromordinal(day), time(seconds // 3600, seconds // 60 % 60, seconds % 60))
        offset = local.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta()
        return ((day - _EPOCH_DATE) * 86_400 + seconds) * _SECOND_US - offset // _MICROSECOND


def _stitched(before: _Bounds, after: _Bounds) -> _Bounds:
    """The bounds of both, where the last opening of ``before`` and the first of ``after`` may touch or overlap."""
    opens, closes = before
    i = 0
    if closes:
        last = closes[-1]
        while i < len(after[0]) and after[0][i] <= last:
            last = max(last, after[1][i])
            i += 1
        closes = [*closes[:-1], last]
    return opens + after[0][i:], closes + after[1][i:]


def _passed(table: _Table, at: int) -> int:
    i = bisect_right(table.opens, at) - 1
    return table.totals[0] if i < 0 else table.totals[i] + min(at, table.closes[i]) - table.opens[i]


def _checked(at: int) -> int:
    if not EARLIEST_US <= at < END_US:
        raise DurationInvalid(Reason.BAD_VALUE, f"{at} µs since the epoch is outside of the years 1900 to 2199")
    return at


def _beyond(sought: str) -> DurationInvalid:
    return DurationInvalid(Reason.BAD_VALUE, f"{sought} is outside of the years 1900 to 2199")


def _negative(duration: int) -> DurationInvalid:
    return DurationInvalid(Reason.NEGATIVE_DURATION, f"a duration of {duration} µs is negative; give 0 or more")
