"""Business time by example: the boundary, the clocks' changes, calendars that never close, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.business_time import EARLIEST_US, END_US, Boundary, Calendar, from_us, to_us
from domain.calendars import DAYS
from domain.errors import DurationInvalid, Reason

ALWAYS: dict[str, object] = {day: [["00:00", "24:00"]] for day in DAYS}
OFFICE: dict[str, object] = {day: [["09:00", "17:00"]] for day in DAYS[:5]}
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


def hours(n: float) -> timedelta:
    return timedelta(hours=n)


def calendar(tz: str = "Etc/UTC", hours: object = OFFICE, **rest: object) -> Calendar:
    return Calendar.from_mapping({"tz": tz, "hours": hours, **rest})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- the boundary


def test_a_target_used_up_at_closing_is_due_at_the_next_opening_or_at_the_closing() -> None:
    friday_nine = at("2024-01-12T09:00Z")
    assert calendar().add(friday_nine, hours(8)) == at("2024-01-15T09:00Z")
    assert calendar().add(friday_nine, hours(8), "close") == at("2024-01-12T17:00Z")
    for boundary in ("next_open", "close"):
        assert calendar().add(friday_nine, hours(7), boundary) == at("2024-01-12T16:00Z")
        assert calendar().add(friday_nine, hours(9), boundary) == at("2024-01-15T10:00Z")


def test_adding_nothing() -> None:
    saturday, monday = at("2024-01-13T12:00Z"), at("2024-01-15T12:00Z")
    assert calendar().add(saturday, hours(0)) == at("2024-01-15T09:00Z")
    assert calendar().add(saturday, hours(0), "close") == saturday
    assert calendar().add(monday, hours(0)) == calendar().add(monday, hours(0), "close") == monday
    assert calendar().subtract(saturday, hours(0)) == at("2024-01-12T17:00Z")
    assert calendar().subtract(monday, hours(0)) == monday


def test_subtracting_to_a_boundary_gives_the_opening() -> None:
    assert calendar().subtract(at("2024-01-15T12:00Z"), hours(3)) == at("2024-01-15T09:00Z")
    assert calendar().subtract(at("2024-01-15T12:00Z"), hours(4)) == at("2024-01-12T16:00Z")


def test_openings_are_half_open_and_touching_ones_are_one() -> None:
    late = calendar(hours={"mon": [["09:00", "12:00"], ["12:00", "24:00"]], "tue": [["00:00", "02:00"]]})
    assert late.is_open(at("2024-01-15T09:00Z"))
    assert not late.is_open(at("2024-01-16T02:00Z"))
    assert late.next_close(at("2024-01-15T10:00Z")) == at("2024-01-16T02:00Z")
    assert late.add(at("2024-01-15T09:00Z"), hours(3), "close") == at("2024-01-15T12:00Z")
    week = at("2024-01-14T00:00Z"), at("2024-01-21T00:00Z")
    assert late.openings(*week) == [(at("2024-01-15T09:00Z"), at("2024-01-16T02:00Z"))]


# --- the clocks' changes


@pytest.mark.parametrize(
    ("tz", "day", "length"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("Australia/Lord_Howe", "2024-10-06", 23.5),
        ("Australia/Lord_Howe", "2024-04-07", 24.5),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("America/Havana", "2024-11-03", 25),
        ("Africa/Casablanca", "2024-03-10", 25),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Asia/Kathmandu", "2024-03-31", 24),
    ],
)
def test_a_whole_day_is_as_long_as_the_clocks_make_it(tz: str, day: str, length: float) -> None:
    # A holiday the day before and after: the day stands alone in the table.
    around = [(date.fromisoformat(day) + timedelta(days=n)).isoformat() for n in (-1, 1)]
    noon = at(f"{day}T12:00Z")
    openings = calendar(tz, ALWAYS, holidays=around).openings(noon - hours(40), noon + hours(40))
    alone = [end - start for start, end in openings if start > noon - hours(40) and end < noon + hours(40)]
    assert alone == ([hours(length)] if length else [])


@pytest.mark.parametrize("tz", [zone for zone in ZONES if zone != "Pacific/Apia"])
def test_office_hours_are_eight_hours_on_every_day_of_half_a_century(tz: str) -> None:
    daily = calendar(tz, {day: [["09:00", "17:00"]] for day in DAYS})
    openings = daily.openings(at("1980-01-01T00:00Z"), at("2030-01-01T00:00Z"))[1:-1]
    assert {end - start for start, end in openings} == {hours(8)}
    assert {
        (start.astimezone(ZoneInfo(tz)).time(), end.astimezone(ZoneInfo(tz)).time()) for start, end in openings
    } == {(time(9), time(17))}


def test_a_bound_in_a_gap_moves_forward_and_in_a_fold_is_the_first() -> None:
    spring, autumn = at("2024-03-31T00:00+01:00"), at("2024-10-27T00:00+02:00")
    night = calendar("Europe/Berlin", {"sun": [["02:30", "05:00"]]})
    assert night.next_open(spring) == at("2024-03-31T03:30+02:00")
    assert night.between(spring, spring + hours(24)) == hours(1.5)
    assert night.next_open(autumn) == at("2024-10-27T02:30+02:00")
    assert night.between(autumn, autumn + hours(24)) == hours(3.5)


def test_what_a_gap_turns_round_or_lays_over_another_is_counted_once_or_not_at_all() -> None:
    spring = at("2024-03-31T00:00+01:00")
    turned = calendar("Europe/Berlin", {"sun": [["02:30", "03:15"]]})
    assert turned.between(spring, spring + hours(24)) == hours(0)
    laid_over = calendar("Europe/Berlin", {"sun": [["01:00", "02:30"], ["03:00", "04:00"]]})
    assert laid_over.openings(spring, spring + hours(24)) == [
        (at("2024-03-31T01:00+01:00"), at("2024-03-31T04:00+02:00"))
    ]
    laid_within = calendar("Europe/Berlin", {"sun": [["01:00", "02:50"], ["03:00", "03:15"]]})
    assert laid_within.between(spring, spring + hours(24)) == timedelta(hours=1, minutes=50)
    broken = calendar("Europe/Berlin", {"sun": [["01:00", "06:00"]]}, breaks={"2024-03-31": [["02:30", "04:00"]]})
    assert broken.between(spring, spring + hours(24)) == hours(4 - 0.5)


def test_each_instant_is_judged_by_the_offset_of_its_own_day() -> None:
    berlin = calendar("Europe/Berlin", {"mon": [["09:00", "17:00"]]})
    assert berlin.next_open(at("2024-01-14T00:00Z")) == at("2024-01-15T08:00Z")
    assert berlin.next_open(at("2024-07-14T00:00Z")) == at("2024-07-15T07:00Z")
    assert berlin.next_open(at("1979-07-15T00:00Z")) == at("1979-07-16T08:00Z")  # No summer time in that year.


def test_a_date_that_the_zone_left_out_has_no_hours() -> None:
    fridays = calendar("Pacific/Apia", {"fri": [["09:00", "17:00"]]})
    assert fridays.next_open(at("2011-12-25T00:00Z")) == at("2012-01-06T09:00+14:00")


# --- always open, never closing


def test_midnight_does_not_close_a_calendar_that_is_always_open() -> None:
    for rules in (
        calendar(hours=ALWAYS),
        calendar("Europe/Berlin", ALWAYS),
        calendar(hours=ALWAYS, holidays=["2020-02-29"]),
    ):
        midnight = at("2024-06-01T00:00Z")
        for n in (-60, -1, 0, 1, 60):
            assert rules.is_open(midnight + timedelta(seconds=n))
        assert rules.between(midnight - hours(1), midnight + hours(1)) == hours(2)
        assert rules.add(midnight - hours(1), hours(1)) == midnight
        assert rules.add(midnight - hours(1), hours(1), "close") == midnight
        assert rules.subtract(midnight + hours(1), hours(1)) == midnight
        assert rules.openings(midnight - hours(1), midnight + hours(1)) == [(midnight - hours(1), midnight + hours(1))]
        with pytest.raises(DurationInvalid, match="the closing after"):
            rules.next_close(midnight)


# --- the table


def test_a_long_closure_is_crossed() -> None:
    rules = calendar(holidays=["2025-01-01/2044-12-31"])
    assert rules.next_open(at("2024-12-31T17:00Z")) == at("2045-01-02T09:00Z")
    assert rules.subtract(at("2045-01-02T09:00Z"), hours(1)) == at("2024-12-31T16:00Z")
    for within in ("2025-03-01T12:00Z", "2035-01-01T12:00Z", "2044-06-15T12:00Z"):
        fresh = Calendar(rules.rules)
        assert fresh.subtract(at(within), hours(0)) == at("2024-12-31T17:00Z")
        assert fresh.add(at(within), hours(0)) == at("2045-01-02T09:00Z")


def test_the_table_grows_both_ways_without_a_seam() -> None:
    rules, start = calendar(), at("2024-01-15T09:00Z")
    assert rules.add(start, hours(8)) == at("2024-01-16T09:00Z")
    assert rules.is_open(at("1990-01-15T09:00Z"))
    fifty_weeks = hours(50 * 40)
    assert rules.add(start, 10 * fifty_weeks) == start + timedelta(weeks=500)
    assert rules.subtract(start, 20 * fifty_weeks) == start - timedelta(weeks=1000)
    assert rules.between(start - timedelta(weeks=2000), start + timedelta(weeks=2000)) == 80 * fifty_weeks


def test_the_table_ends_before_a_midnight_that_the_clocks_skip() -> None:
    # At 23:30 the clocks went to 00:30. Whatever day is asked about first, the table may end on that midnight.
    night = calendar("America/Toronto", {"mon": [["00:30", "02:00"]]})
    for n in range(300, 400):
        fresh = Calendar(night.rules)
        assert not fresh.is_open(at("1919-03-31T12:00Z") - timedelta(days=n))
        assert fresh.is_open(at("1919-03-31T00:45-04:00"))


@pytest.mark.parametrize("tz", ["Etc/UTC", "Europe/Berlin"])
def test_no_time_has_no_openings(tz: str) -> None:
    noon = at("2024-01-15T12:00Z")
    for rules in (calendar(tz), calendar(tz, ALWAYS)):
        assert rules.openings(noon, noon) == rules.openings(noon, noon - hours(1)) == []


# --- refusals


def test_an_instant_without_a_time_zone_is_refused() -> None:
    naive, aware = datetime(2024, 1, 15, 12), at("2024-01-15T12:00Z")  # noqa: DTZ001 - what is tested
    rules = calendar()
    calls: list[Callable[[], object]] = [
        lambda: rules.add(naive, hours(1)),
        lambda: rules.subtract(naive, hours(1)),
        lambda: rules.between(naive, aware),
        lambda: rules.between(aware, naive),
        lambda: rules.is_open(naive),
        lambda: rules.next_open(naive),
        lambda: rules.next_close(naive),
        lambda: rules.openings(aware, naive),
    ]
    for call in calls:
        with pytest.raises(DurationInvalid) as refused:
            call()
        assert refused.value.reason == Reason.NAIVE_INSTANT


@pytest.mark.parametrize("rules", [calendar(), calendar(hours=ALWAYS)], ids=["office", "always"])
def test_a_negative_duration_and_an_unknown_boundary_are_refused(rules: Calendar) -> None:
    noon = at("2024-01-15T12:00Z")
    for call in (rules.add, rules.subtract):
        with pytest.raises(DurationInvalid) as refused:
            call(noon, timedelta(microseconds=-1))
        assert refused.value.reason == Reason.NEGATIVE_DURATION
    unknown: Boundary = "closing"  # type: ignore[assignment]  # what is tested
    with pytest.raises(DurationInvalid, match="boundary"):
        rules.add(noon, hours(1), unknown)


@pytest.mark.parametrize("rules", [calendar(), calendar(hours=ALWAYS)], ids=["office", "always"])
def test_questions_and_answers_outside_of_1900_to_2199_are_refused(rules: Calendar) -> None:
    noon = to_us(at("2024-01-15T12:00Z"))
    calls: list[Callable[[], object]] = [
        lambda: rules.add_us(noon, 10**30),
        lambda: rules.subtract_us(noon, 10**30),
        lambda: rules.add_us(END_US, 0),
        lambda: rules.subtract_us(EARLIEST_US - 1, 0),
        lambda: rules.between_us(EARLIEST_US - 1, noon),
        lambda: rules.between_us(noon, END_US),
        lambda: rules.is_open_us(10**30),
        lambda: rules.next_close_us(-(10**30)),
    ]
    for call in calls:
        with pytest.raises(DurationInvalid, match="1900 to 2199") as refused:
            call()
        assert refused.value.reason == Reason.BAD_VALUE


def test_microseconds_are_exact_over_the_whole_range() -> None:
    for us in (EARLIEST_US, -1, 0, 1, 1_705_320_000_123_457, END_US - 1):
        assert to_us(from_us(us)) == us
    assert to_us(at("2024-01-15T12:00:00.000001+05:45")) == to_us(at("2024-01-15T06:15:00.000001Z"))
