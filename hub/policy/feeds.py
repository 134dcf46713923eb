"""The days that an iCalendar feed (RFC 5545) closes: whole days only, in the time zone of the calendar that names it.

Read with `icalendar`, and recurrences with `dateutil`; both read what others wrote, so size and number are bounded.
Cancelled events, exceptions, and single occurrences that were moved count as they stand. A change of "this and all
following" is not supported; most calendars write it as two events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import httpx
import icalendar
from dateutil.rrule import rrulestr

from domain.errors import PolicyInvalid, Reason

LARGEST = 1_000_000
SECONDS = 10.0
MOST_EVENTS = 5000
MOST_STEPS = 3
MOST_TIMES = 20_000
LONGEST = timedelta(days=366)
_DAY = timedelta(days=1)
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})


class Found(NamedTuple):
    """The closed days with what the feed calls them, and sentences on what was left out."""

    days: dict[date, str]
    notes: list[str]


class _Event(NamedTuple):
    """An event of a feed. A whole day begins with a date, another at an aware datetime. ``instead``: the occurrence of
    another event with the same ``uid`` that it stands for; ``added``, ``left_out``: times beside those of ``rule``."""

    uid: str
    name: str
    start: date
    length: timedelta
    cancelled: bool
    instead: date | None
    rule: str
    until: date | None
    added: list[date]
    left_out: list[date]


def fetch(address: str, client: httpx.Client | None = None) -> bytes:
    """What stands at an https address: at most 1 MB, within 10 seconds each, and no way back to http."""
    try:
        with client or httpx.Client(timeout=SECONDS) as http:
            for _ in range(MOST_STEPS):
                if httpx.URL(address).scheme != "https":
                    raise _refused("the feed leads away from https")
                with http.stream("GET", address) as answer:
                    if answer.next_request is not None:
                        address = str(answer.next_request.url)
                        continue
                    answer.raise_for_status()
                    data = b""
                    for part in answer.iter_bytes():
                        data += part
                        if len(data) > LARGEST:
                            break
                    return data
            raise _refused(f"the feed leads on more than {MOST_STEPS} times")
    except httpx.HTTPStatusError as error:
        raise PolicyInvalid(Reason.BAD_VALUE, f"the feed answers with {error.response.status_code}", "") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"the feed does not answer: {type(error).__name__}"
        raise PolicyInvalid(Reason.SOURCE_UNAVAILABLE, what, "") from error


def closed_days(data: bytes, zone: ZoneInfo, years: range, where: str) -> Found:
    """The days of ``years`` that events of a feed cover from midnight to midnight in ``zone``.

    Raises ``PolicyInvalid`` for what is no feed, or one too large.
    """
    if len(data) > LARGEST:
        raise PolicyInvalid(Reason.TOO_LARGE, f"the feed has more than {LARGEST} bytes", where)
    try:
        calendars = icalendar.Calendar.from_ical(data, multiple=True)
        events = [_event(each, zone) for calendar in calendars for each in calendar.walk("VEVENT")]
        if len(events) > MOST_EVENTS:
            raise _refused(f"the feed has more than {MOST_EVENTS} events", Reason.TOO_LARGE)
        return _covered(events, zone, date(years[0], 1, 1), date(years[-1], 12, 31))
    except PolicyInvalid as error:
        raise PolicyInvalid(error.reason, error.detail, where) from error
    # Feeds come from anywhere; icalendar and dateutil raise what their conversions raise.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise PolicyInvalid(Reason.BAD_VALUE, f"this is no iCalendar feed: {str(error)[:200]}", where) from error


def _refused(detail: str, reason: Reason = Reason.BAD_VALUE) -> PolicyInvalid:
    return PolicyInvalid(reason, detail, "")


def _event(given: icalendar.Component, zone: ZoneInfo) -> _Event:
    start = _moment(given, "DTSTART", zone)
    if start is None:
        raise _refused("an event of the feed has no DTSTART")
    instead = _moment(given, "RECURRENCE-ID", zone)
    if instead is not None and getattr(given.get("RECURRENCE-ID"), "params", {}).get("RANGE"):
        raise _refused("a change of this and all following events is not supported")
    rule: object = given.get("RRULE")
    if not isinstance(rule, icalendar.vRecur | None):
        raise _refused("an event has more than one RRULE, which RFC 5545 advises against")
    if rule is not None and not (rule.get("FREQ") and set(map(str, rule["FREQ"])) <= _FREQUENCIES):
        raise _refused("an event repeats within a day, or nobody knows how often")
    parts = bytes(rule.to_ical()).decode().split(";") if rule is not None else []
    return _Event(
        uid=str(given.get("UID", "")),
        name=" ".join(str(given.get("SUMMARY", "")).split()) or "closed",
        start=start,
        length=_length(given, start, zone),
        cancelled=str(given.get("STATUS", "")).upper() == "CANCELLED",
        instead=instead,
        rule=";".join(part for part in parts if not part.upper().startswith("UNTIL=")),
        until=next(iter(rule.get("UNTIL", ())), None) if rule is not None else None,
        added=_moments(given, "RDATE", zone),
        left_out=_moments(given, "EXDATE", zone),
    )


def _moment(given: icalendar.Component, name: str, zone: ZoneInfo) -> date | None:
    return _at(getattr(given[name], "dt", None), zone) if name in given else None


def _moments(given: icalendar.Component, name: str, zone: ZoneInfo) -> list[date]:
    value: object = given.get(name)
    lists: list[object] = value if isinstance(value, list) else [value] if value is not None else []
    found = [each.dt for one in lists for each in getattr(one, "dts", ())]
    return [_at(each[0] if isinstance(each, tuple) else each, zone) for each in found]


def _at(value: object, zone: ZoneInfo) -> date:
    """A date, or a datetime, which without a zone is one of the calendar's."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=zone) if value.tzinfo is None else value
    if isinstance(value, date):
        return value
    raise _refused(f"{str(value)[:60]!r} is neither a date nor a time")


def _length(given: icalendar.Component, start: date, zone: ZoneInfo) -> timedelta:
    end = _moment(given, "DTEND", zone)
    if end is None:
        length: object = timedelta() if isinstance(start, datetime) else _DAY
        if "DURATION" in given:
            length = getattr(given["DURATION"], "dt", None)
    elif isinstance(start, datetime) and isinstance(end, datetime):
        length = end.astimezone(UTC) - start.astimezone(UTC)
    elif isinstance(start, datetime) or isinstance(end, datetime):
        raise _refused("an event begins with a date and ends with a time, or the other way")
    else:
        length = end - start
    if not isinstance(length, timedelta) or not timedelta() <= length <= LONGEST:
        raise _refused("an event of the feed ends before it begins, or lasts longer than a year")
    return length


def _covered(events: list[_Event], zone: ZoneInfo, first: date, last: date) -> Found:
    days: dict[date, str] = {}
    partial = 0
    changed = {(each.uid, _key(each.instead)) for each in events if each.instead is not None}
    for event in events:
        if event.cancelled:
            continue
        for start in _starts(event, first - LONGEST, last):
            if event.instead is None and (event.uid, _key(start)) in changed:
                continue
            covered = list(_whole_days(start, event.length, zone))
            partial += not covered
            for day in covered:
                if first <= day <= last:
                    days.setdefault(day, event.name)
    notes = [f"{partial} events of the feed cover no whole day of {zone.key}, and were left out"] if partial else []
    return Found(days, notes)


def _key(at: date) -> date:
    """An occurrence as a key: the date of a whole day, the instant of another."""
    return at.astimezone(UTC) if isinstance(at, datetime) else at


def _starts(event: _Event, first: date, last: date) -> Iterator[date]:
    """When an event begins, each time from ``first`` to ``last``."""
    found = {_key(event.start): event.start}
    if event.rule:
        found = {_key(each): each for each in _repeated(event, last)}
    found |= {_key(each): each for each in event.added}
    for each in event.left_out:
        found.pop(_key(each), None)
    for each in found.values():
        if first <= (each.date() if isinstance(each, datetime) else each) <= last:
            yield each


def _repeated(event: _Event, last: date) -> Iterator[date]:
    """The times of a rule. Times of day are those on the clocks of the event's zone, as RFC 5545 has it."""
    start = event.start
    begin = start if isinstance(start, datetime) else datetime.combine(start, time.min)
    end = datetime.combine(last, time.max, begin.tzinfo)
    if event.until is not None:
        # A date, or an instant in UTC beside a start in any zone: feeds have both, whatever section 3.3.10 asks for.
        until = event.until if isinstance(event.until, datetime) else datetime.combine(event.until, time.max)
        both = until.tzinfo is not None and begin.tzinfo is not None
        end = min(end, until.astimezone(begin.tzinfo) if both else until.replace(tzinfo=begin.tzinfo))
    for at in islice(rrulestr(event.rule, dtstart=begin), MOST_TIMES):
        if at > end:
            return
        yield at if isinstance(start, datetime) else at.date()


def _whole_days(start: date, length: timedelta, zone: ZoneInfo) -> Iterator[date]:
    """The dates that a stretch covers from midnight to midnight, as the clocks of ``zone`` show it."""
    if not isinstance(start, datetime):
        for number in range(length.days):
            yield start + number * _DAY
        return
    begin = start.astimezone(UTC)
    end, day = begin + length, start.astimezone(zone).date()
    while _midnight(day + _DAY, zone) <= end:
        if _midnight(day, zone) >= begin:
            yield day
        day += _DAY


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
