"""Business time at its edges: the first and the last instant, where the table ends, and what a refusal says.

Most of these were written for a change of the code that no other test noticed (docs/mutants.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from domain.business_time import EARLIEST_US, END_US, Calendar, from_us, to_us
from domain.calendars import DAYS
from domain.errors import CalendarInvalid, DurationInvalid, Reason

ALWAYS: dict[str, object] = {day: [["00:00", "24:00"]] for day in DAYS}
OFFICE: dict[str, object] = {day: [["09:00", "17:00"]] for day in DAYS[:5]}
HOUR = 3_600_000_000
LAST_US = END_US - 1


def calendar(tz: str = "Etc/UTC", hours: object = OFFICE, **rest: object) -> Calendar:
    return Calendar.from_mapping({"tz": tz, "hours": hours, **rest})


def at(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


def always(short: bool) -> Calendar:
    """Always open, by the short way or by the table."""
    return calendar(hours=ALWAYS) if short else calendar(hours=ALWAYS, overrides={"2024-01-01": [["00:00", "24:00"]]})


# --- the first and the last instant


@pytest.mark.parametrize("short", [True, False], ids=["short way", "table"])
def test_the_first_and_the_last_instant_can_be_asked_about(short: bool) -> None:
    rules = always(short)
    for edge in (EARLIEST_US, LAST_US):
        assert rules.is_open_us(edge)
        assert rules.add_us(edge, 0) == rules.add_us(edge, 0, "close") == rules.next_open_us(edge) == edge
        assert rules.subtract_us(edge, 0) == edge
        assert rules.between_us(edge, edge) == 0
    assert rules.add_us(LAST_US - HOUR, HOUR) == LAST_US
    assert rules.subtract_us(EARLIEST_US + HOUR, HOUR) == EARLIEST_US
    assert rules.subtract_us(LAST_US, HOUR) == LAST_US - HOUR
    assert rules.between_us(EARLIEST_US, LAST_US) == LAST_US - EARLIEST_US
    assert rules.between_us(LAST_US, EARLIEST_US) == EARLIEST_US - LAST_US
    assert rules.openings_us(EARLIEST_US, LAST_US) == [(EARLIEST_US, LAST_US)]
    for call in (rules.add_us, rules.subtract_us):
        with pytest.raises(DurationInvalid, match="1900 to 2199"):
            call(LAST_US if call == rules.add_us else EARLIEST_US, 1)


@pytest.mark.parametrize("rules", [always(True), always(False), calendar()], ids=["short way", "table", "office"])
def test_a_refusal_names_the_instant_that_is_outside(rules: Calendar) -> None:
    before, within, after = EARLIEST_US - 1, at("2024-01-15T12:00Z"), END_US
    calls: list[tuple[Callable[[], object], int]] = [
        (lambda: rules.add_us(before, HOUR), before),
        (lambda: rules.add_us(after, HOUR), after),
        (lambda: rules.subtract_us(before, HOUR), before),
        (lambda: rules.subtract_us(after, HOUR), after),
        (lambda: rules.between_us(before, within), before),
        (lambda: rules.between_us(within, after), after),
        (lambda: rules.between_us(after, within), after),
        (lambda: rules.between_us(within, before), before),
        (lambda: rules.between_us(before, after), before),
        (lambda: rules.is_open_us(before), before),
        (lambda: rules.is_open_us(after), after),
        (lambda: rules.next_close_us(before), before),
        (lambda: rules.openings_us(before, within), before),
        (lambda: rules.openings_us(within, after), after),
    ]
    for call, outside in calls:
        with pytest.raises(DurationInvalid) as refused:
            call()
        assert str(refused.value) == f"{outside} µs since the epoch is outside of the years 1900 to 2199"


def test_a_refusal_says_what_was_sought() -> None:
    noon, longest = "2024-01-15 12:00:00+00:00", 10**16
    within, office, table = at(noon), calendar(), always(False)
    years = "is outside of the years 1900 to 2199"
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: office.add_us(within, longest), f"{longest} µs after {noon} {years}"),
        (lambda: office.subtract_us(within, longest), f"{longest} µs before {noon} {years}"),
        (lambda: always(True).next_close_us(within), f"the closing after {noon} {years}"),
        (lambda: table.next_close_us(within), f"the closing after {noon} {years}"),
        (lambda: always(True).add_us(within, longest), f"{within + longest} µs since the epoch {years}"),
        (lambda: always(True).subtract_us(within, longest), f"{within - longest} µs since the epoch {years}"),
        (lambda: office.add_us(within, -1), "a duration of -1 µs is negative; give 0 or more"),
        (lambda: office.subtract_us(within, -2), "a duration of -2 µs is negative; give 0 or more"),
        (
            lambda: office.add(datetime(2024, 1, 15, 12), timedelta()),  # noqa: DTZ001 - what is tested
            "2024-01-15T12:00:00 has no time zone; give it one, such as +00:00",
        ),
        (
            lambda: office.add_us(within, 1, "closing"),  # type: ignore[arg-type]  # what is tested
            "'closing' is no boundary; give next_open or close",
        ),
    ]
    for call, text in calls:
        with pytest.raises(DurationInvalid) as refused:
            call()
        assert str(refused.value) == text
        assert refused.value.reason in (Reason.BAD_VALUE, Reason.NEGATIVE_DURATION, Reason.NAIVE_INSTANT)


def test_a_range_beyond_the_first_opening_and_the_last_closing_is_refused() -> None:
    mondays = calendar(hours={"mon": [["09:00", "10:00"]]})
    first, last = at("1900-01-01T09:00Z"), at("2199-12-30T09:00Z")
    assert mondays.subtract_us(first + HOUR, HOUR) == first
    assert mondays.add_us(last, HOUR - 1) == last + HOUR - 1
    assert mondays.next_close_us(last) == last + HOUR
    calls: list[Callable[[], object]] = [
        lambda: mondays.subtract_us(first, 1),
        lambda: mondays.subtract_us(first - 1, 0),
        lambda: mondays.add_us(last, HOUR),
        lambda: mondays.next_open_us(last + HOUR),
        lambda: mondays.next_close_us(last + HOUR),
    ]
    for call in calls:
        with pytest.raises(DurationInvalid) as refused:
            call()
        assert refused.value.reason == Reason.BAD_VALUE


def test_microseconds_are_not_rounded_over_centuries() -> None:
    # Above 2^53 a float has no odd numbers.
    long = timedelta(microseconds=2**53 + 1)
    start = from_us(EARLIEST_US)
    for rules in (always(True), always(False)):
        assert rules.add(start, long) == start + long
        assert rules.subtract(start + long, long) == start
        assert rules.between(start, start + long) == long


# --- where the table ends


def test_where_the_table_ends_nothing_is_missed() -> None:
    # The first question makes a table that ends about a year later, at a midnight at which this calendar opens.
    night = {day: [["00:00", "02:00"]] for day in DAYS}
    first = at("2024-01-15T12:00Z")
    for n in range(364, 369):
        midnight = at("2024-01-15T00:00Z") + n * 24 * HOUR

        def asked() -> Calendar:
            rules = calendar(hours=night)
            assert not rules.is_open_us(first)
            return rules

        assert asked().is_open_us(midnight)
        assert asked().subtract_us(midnight, 0) == midnight
        assert asked().subtract_us(midnight, HOUR) == midnight - 23 * HOUR
        assert asked().add_us(midnight, 0) == midnight
        assert asked().add_us(midnight, 2 * HOUR, "close") == asked().next_close_us(midnight) == midnight + 2 * HOUR
        assert asked().next_close_us(midnight - 22 * HOUR) == midnight + 2 * HOUR
        assert asked().between_us(first, midnight + HOUR) == asked().between_us(first, midnight) + HOUR
        assert asked().openings_us(midnight, midnight + HOUR) == [(midnight, midnight + HOUR)]


def test_a_night_shift_over_the_end_of_the_table_is_one_opening() -> None:
    nights = {day: [["00:00", "02:00"], ["22:00", "24:00"]] for day in DAYS}
    noon = at("2024-01-15T12:00Z")
    rules = calendar(hours=nights)
    assert not rules.is_open_us(noon)
    for days in (400, 3000):
        found = rules.openings_us(noon, noon + days * 24 * HOUR)
        assert found == [(noon + (n * 24 + 10) * HOUR, noon + (n * 24 + 14) * HOUR) for n in range(days)]
        back = rules.openings_us(noon - days * 24 * HOUR, noon)
        assert back == [(noon - (n * 24 + 14) * HOUR, noon - (n * 24 + 10) * HOUR) for n in range(days)][::-1]


def test_the_table_ends_at_the_first_of_two_midnights() -> None:
    # At one o'clock the clocks went back to midnight.
    night = calendar("America/Havana", {"sun": [["00:00", "02:00"]]})
    midnight = at("2024-11-03T00:00-04:00")
    for n in range(364, 369):
        fresh = Calendar(night.rules)
        assert not fresh.is_open_us(midnight + (12 - n * 24) * HOUR)
        assert fresh.is_open_us(midnight)
        assert not fresh.is_open_us(midnight - 1)


def test_an_instant_before_the_first_opening_of_the_table_has_passed_nothing() -> None:
    closed = calendar(holidays=["2025-01-01/2025-06-30"])
    assert not closed.is_open_us(at("2025-06-01T12:00Z"))  # The table begins in May.
    start = at("2025-05-15T12:00Z")
    assert closed.between_us(start, at("2025-07-01T11:00Z")) == 2 * HOUR
    assert closed.between_us(at("2025-07-01T11:00Z"), start) == -2 * HOUR
    assert closed.between_us(start, at("2025-06-15T12:00Z")) == 0
    assert closed.add_us(start, HOUR) == at("2025-07-01T10:00Z")
    assert not closed.is_open_us(start)
    assert closed.openings_us(start, at("2025-06-20T12:00Z")) == []


def test_the_last_local_date_counts_where_it_begins_before_the_range_ends() -> None:
    # Asked about this date first, the table ends just before 2200-01-01, which in Auckland begins in 2199.
    wednesdays = calendar("Pacific/Auckland", {"wed": [["09:00", "10:00"]]})
    assert not wednesdays.is_open_us(at("2198-12-31T12:00Z"))
    assert wednesdays.next_open_us(at("2199-12-31T10:00Z")) == at("2199-12-31T20:00Z")
    # And the first: 1899-12-31 in Honolulu ends in 1900.
    sundays = calendar("Pacific/Honolulu", {"sun": [["22:00", "23:00"]]})
    closing = sundays.next_close_us(EARLIEST_US)
    assert from_us(closing).date() == datetime(1900, 1, 1, tzinfo=UTC).date()
    assert sundays.subtract_us(closing, HOUR) == closing - HOUR


def test_hours_that_a_change_of_the_clocks_skips_whole_are_no_opening() -> None:
    # 02:00 moves to 03:00, which is where the hours end.
    skipped = calendar("Europe/Berlin", {"sun": [["02:00", "03:00"]]})
    spring = at("2024-03-31T00:00+01:00")
    assert skipped.openings_us(spring, spring + 24 * HOUR) == []
    assert type(skipped.next_open_us(spring)) is int
    assert skipped.next_open_us(spring) == at("2024-04-07T02:00+02:00")
    assert skipped.next_close_us(spring) == at("2024-04-07T03:00+02:00")


# --- values


def test_calendars_have_a_hash_and_a_short_name() -> None:
    office = calendar()
    assert hash(office) == hash(calendar())
    assert hash(office) != hash(calendar(hours=ALWAYS))
    assert repr(office) == f"<Calendar Etc/UTC {office.digest[:12]}>"


def test_the_place_of_a_refusal_begins_with_what_it_was_called() -> None:
    with pytest.raises(CalendarInvalid) as refused:
        Calendar.from_mapping({"tz": "Etc/UTC", "hours": {}}, "calendars.office")
    assert refused.value.where == "calendars.office.hours"
    with pytest.raises(CalendarInvalid) as refused:
        Calendar.from_mapping({"tz": "Etc/UTC", "hours": {}})
    assert refused.value.where == "calendar.hours"
