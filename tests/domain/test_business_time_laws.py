"""The laws of business time, by property: over zones and their changes, split and night shifts, leap days, 50 years."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.business_time import EARLIEST_US, END_US, Calendar, to_us
from domain.calendars import DAYS, parse
from domain.errors import DurationInvalid

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # Half an hour of summer time.
    "Africa/Casablanca",  # Winter time in Ramadan only.
    "Asia/Kathmandu",  # +05:45
    "America/Sao_Paulo",  # Clocks changed at midnight.
    "America/Havana",  # 00:00 comes twice.
    "Pacific/Apia",  # 2011-12-30 never was.
)
ANY_ZONE = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})  # Those are no places.
ALWAYS: dict[str, object] = {day: [["00:00", "24:00"]] for day in DAYS}
HOUR = 3_600_000_000


def calendar(tz: str, hours: object, **rest: object) -> Calendar:
    return Calendar.from_mapping({"tz": tz, "hours": hours, **rest})


def interval_lists() -> st.SearchStrategy[list[list[str]]]:
    """One to three intervals of a day, to the quarter of an hour, without overlap; some reach 24:00."""
    quarters = st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True)
    return quarters.map(
        lambda found: [[f"{n // 4:02}:{n % 4 * 15:02}" for n in pair] for pair in list(pairwise(sorted(found)))[::2]]
    )


def night_shift(start: int, end: int, nights: list[int]) -> dict[str, list[list[str]]]:
    """From ``start`` (quarters of an hour) until ``end`` of the next day, as two intervals."""
    evening, morning = [f"{start // 4:02}:{start % 4 * 15:02}", "24:00"], ["00:00", f"{end // 4:02}:{end % 4 * 15:02}"]
    hours: dict[str, list[list[str]]] = {}
    for night in nights:
        hours.setdefault(DAYS[night], []).append(evening)
        hours.setdefault(DAYS[(night + 1) % 7], []).append(morning)
    return hours


WEEKS = st.one_of(
    st.dictionaries(st.sampled_from(DAYS), interval_lists(), min_size=1),
    st.builds(
        night_shift,
        start=st.integers(56, 95),
        end=st.integers(1, 56),
        nights=st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True),
    ),
)
DATES = st.dates(date(1999, 12, 1), date(2001, 3, 31)).map(date.isoformat)
ANNUAL = st.sampled_from(["02-29", "02-28", "10-29", "12-31"])
CALENDARS = st.builds(
    calendar,
    tz=st.one_of(st.sampled_from(ZONES), st.sampled_from(ANY_ZONE)),
    hours=WEEKS,
    holidays=st.lists(
        st.one_of(DATES, st.sampled_from(["12-25", "02-29", "12-30/01-02", "2000-03-01/2000-04-30"])), max_size=4
    ),
    breaks=st.dictionaries(st.one_of(DATES, ANNUAL), interval_lists(), max_size=3),
    overrides=st.dictionaries(st.one_of(DATES, ANNUAL), interval_lists(), max_size=3),
)
# Fifty years, dense where the exceptions are.
INSTANTS = st.one_of(
    st.datetimes(datetime(1999, 12, 1), datetime(2001, 4, 1)),  # noqa: DTZ001 - strategies take naive bounds
    st.datetimes(datetime(1975, 1, 1), datetime(2025, 1, 1)),  # noqa: DTZ001 - as above
).map(lambda found: to_us(found.replace(tzinfo=UTC)))
DURATIONS = st.one_of(
    st.integers(0, 100).map(lambda n: n * HOUR // 4),  # Often used up exactly at a closing.
    st.integers(0, 2000 * HOUR),
)
few = settings(max_examples=max(settings().max_examples // 3, 5))


@given(rules=CALENDARS, start=INSTANTS, amount=DURATIONS)
def test_add_and_subtract_are_what_between_measures(rules: Calendar, start: int, amount: int) -> None:
    for boundary in ("next_open", "close"):
        due = rules.add_us(start, amount, boundary)
        assert due >= start
        assert rules.between_us(start, due) == amount
    assert rules.add_us(start, amount, "close") <= rules.add_us(start, amount)
    since = rules.subtract_us(start, amount)
    assert since <= start
    assert rules.between_us(since, start) == amount


@given(rules=CALENDARS, start=INSTANTS, amount=DURATIONS)
def test_the_two_boundaries_are_the_last_and_the_first_instant(rules: Calendar, start: int, amount: int) -> None:
    due, closing = rules.add_us(start, amount), rules.add_us(start, amount, "close")
    assert rules.is_open_us(due)
    assert rules.between_us(start, due + 1) == amount + 1
    assert closing == start or rules.between_us(start, closing - 1) == amount - 1


@given(rules=CALENDARS, start=INSTANTS, target=DURATIONS, now=INSTANTS, near=st.integers(-2, 2))
def test_now_is_after_due_exactly_if_more_than_the_target_has_passed(
    rules: Calendar, start: int, target: int, now: int, near: int
) -> None:
    due = rules.add_us(start, target)
    closing = rules.add_us(start, target, "close")
    for instant in (now, due + near, closing + near):
        assert (rules.between_us(start, instant) > target) == (instant > due)


@given(rules=CALENDARS, first=INSTANTS, second=INSTANTS, third=INSTANTS, amounts=st.tuples(DURATIONS, DURATIONS))
def test_open_time_adds_up(rules: Calendar, first: int, second: int, third: int, amounts: tuple[int, int]) -> None:
    assert rules.between_us(first, second) + rules.between_us(second, third) == rules.between_us(first, third)
    one, other = amounts
    for boundary in ("next_open", "close"):
        if one and other:
            assert rules.add_us(rules.add_us(first, one, boundary), other, boundary) == rules.add_us(
                first, one + other, boundary
            )


@given(rules=CALENDARS, instants=st.tuples(INSTANTS, INSTANTS), amounts=st.tuples(DURATIONS, DURATIONS))
def test_later_and_longer_are_never_due_earlier(
    rules: Calendar, instants: tuple[int, int], amounts: tuple[int, int]
) -> None:
    (early, late), (short, long) = sorted(instants), sorted(amounts)
    assert rules.add_us(early, short) <= rules.add_us(late, short) <= rules.add_us(late, long)
    assert rules.subtract_us(early, long) <= rules.subtract_us(early, short) <= rules.subtract_us(late, short)
    assert 0 <= rules.between_us(early, late) <= late - early


@given(rules=CALENDARS, instant=INSTANTS)
def test_next_open_and_next_close_bound_the_opening(rules: Calendar, instant: int) -> None:
    assume(any(sum(end - start for start, end in day) < 86_400 for day in rules.rules.weekly))  # else it never closes
    opening, closing = rules.next_open_us(instant), rules.next_close_us(instant)
    assert instant <= opening < closing
    assert rules.is_open_us(instant) == (opening == instant)
    assert rules.is_open_us(closing - 1)
    assert not rules.is_open_us(closing)
    assert rules.openings_us(instant, closing) == [(opening, closing)]


@given(rules=CALENDARS, day=st.dates(date(1999, 12, 1), date(2001, 3, 31)), length=st.integers(0, 80))
def test_the_table_holds_what_a_plain_reading_of_each_day_gives(rules: Calendar, day: date, length: int) -> None:
    start = datetime.combine(day, time(), UTC)
    found = rules.openings(start, start + timedelta(days=length))
    assert all(before[1] < after[0] for before, after in pairwise(found))
    for n in range(-1, length * 24, 7):
        instant = start + timedelta(hours=n, minutes=7)
        assert rules.is_open(instant) == plainly_open(rules, instant)
        assert n < 0 or plainly_open(rules, instant) == any(a <= instant < b for a, b in found)


def plainly_open(rules: Calendar, instant: datetime) -> bool:
    """The definition, without table or bisection: is the instant inside of what some local date's bounds resolve to?"""
    zone = ZoneInfo(rules.rules.tz)

    def inside(day: date, spans: tuple[tuple[int, int], ...]) -> bool:
        midnight = datetime.combine(day, time(), zone)
        return any(
            (midnight + timedelta(seconds=start)).astimezone(UTC)
            <= instant
            < (midnight + timedelta(seconds=end)).astimezone(UTC)
            for start, end in spans
        )

    local = instant.astimezone(zone).date()
    days = [local + timedelta(days=n) for n in (-1, 0, 1)]
    return any(
        inside(day, rules.rules.hours_on(day.toordinal())) and not inside(day, rules.rules.breaks_on(day.toordinal()))
        for day in days
    )


@few
@given(rules=CALENDARS, questions=st.lists(st.tuples(INSTANTS, DURATIONS), min_size=2, max_size=6))
def test_an_answer_does_not_depend_on_what_was_asked_before(rules: Calendar, questions: list[tuple[int, int]]) -> None:
    def ask(asked: Calendar, start: int, amount: int) -> tuple[int, ...]:
        added, taken = asked.add_us(start, amount), asked.subtract_us(start, amount)
        return added, taken, asked.next_close_us(start), asked.between_us(taken, added)

    answers = [ask(rules, *question) for question in questions]
    assert answers == [ask(Calendar(rules.rules), *question) for question in questions]
    assert answers == [ask(rules, *question) for question in questions]


@given(start=st.integers(EARLIEST_US, END_US - 1), length=st.integers(0, 10**16), back=st.booleans())
@few
def test_the_short_way_for_always_open_gives_what_the_table_gives(start: int, length: int, back: bool) -> None:
    short, table = calendar("Europe/Berlin", ALWAYS), _ALWAYS_BY_TABLE
    assert short.rules.always_open
    assert not table.rules.always_open
    end = start - length if back else start + length
    calls: list[Callable[[Calendar], object]] = [
        lambda c: c.add_us(start, length),
        lambda c: c.add_us(start, length, "close"),
        lambda c: c.subtract_us(start, length),
        lambda c: c.between_us(start, end),
        lambda c: c.openings_us(start, end),
        lambda c: c.is_open_us(start),
        lambda c: c.next_open_us(start),
        lambda c: c.next_close_us(start),
    ]
    for call in calls:
        assert outcome(call, short) == outcome(call, table)


# Always open, too, but the override keeps it from the short way.
_ALWAYS_BY_TABLE = calendar("Europe/Berlin", ALWAYS, overrides={"2024-01-01": [["00:00", "24:00"]]})


def outcome(call: Callable[[Calendar], object], rules: Calendar) -> object:
    try:
        return call(rules)
    except DurationInvalid as error:
        return error.reason


@few
@given(rules=CALENDARS)
def test_the_canonical_form_reads_back_as_the_same_rules(rules: Calendar) -> None:
    again = parse(json.loads(rules.rules.canonical))
    assert again == rules.rules
    assert again.digest == rules.digest
