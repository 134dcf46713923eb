"""Calendars as people write them: exceptions, sameness, and what is refused, with its place in the input."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.business_time import Calendar
from domain.calendars import DAYS
from domain.errors import CalendarInvalid, Reason

ALWAYS: dict[str, object] = {day: [["00:00", "24:00"]] for day in DAYS}
OFFICE: dict[str, object] = {day: [["09:00", "17:00"]] for day in DAYS[:5]}


def hours(n: float) -> timedelta:
    return timedelta(hours=n)


def calendar(tz: str = "Etc/UTC", hours: object = OFFICE, **rest: object) -> Calendar:
    return Calendar.from_mapping({"tz": tz, "hours": hours, **rest})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- exceptions


def test_a_holiday_beats_an_override_and_a_date_beats_an_annual_date() -> None:
    rules = calendar(
        holidays=["2024-12-25", "01-01"],
        overrides={
            "12-24": [["09:00", "12:00"]],
            "2024-12-24": [["10:00", "11:00"]],
            "2024-12-25": [["09:00", "10:00"]],
        },
    )
    year_end = at("2024-12-24T00:00Z"), at("2024-12-26T00:00Z")
    assert rules.openings(*year_end) == [(at("2024-12-24T10:00Z"), at("2024-12-24T11:00Z"))]
    assert rules.between(at("2025-12-24T00:00Z"), at("2025-12-25T00:00Z")) == hours(3)
    assert rules.between(at("2025-12-25T00:00Z"), at("2025-12-26T00:00Z")) == hours(8)
    for year in (1999, 2025, 2026):
        assert not rules.is_open(at(f"{year}-01-01T12:00Z"))


def test_ranges_hold_both_ends_and_may_go_over_new_year() -> None:
    for entry in ("12-24/01-01", "2024-12-24/2025-01-01"):
        rules = calendar(holidays=[entry])
        assert rules.next_open(at("2024-12-23T18:00Z")) == at("2025-01-02T09:00Z")
        assert rules.next_close(at("2024-12-23T12:00Z")) == at("2024-12-23T17:00Z")


def test_the_29th_of_february_is_a_holiday_in_leap_years_only() -> None:
    rules = calendar(hours=ALWAYS, holidays=["02-29"])
    for year, open_time in ((2023, 48), (2024, 48), (2100, 48)):
        march = at(f"{year}-03-01T00:00Z")
        assert rules.between(march - timedelta(days=2 if year != 2024 else 3), march) == hours(open_time)


def test_dates_may_come_as_dates() -> None:
    # YAML gives a date for 2024-12-25 without quotes.
    day = date(2024, 12, 25)
    assert calendar(holidays=[day]) == calendar(holidays=["2024-12-25"])
    assert calendar(overrides={day: [["09:00", "10:00"]]}) == calendar(overrides={"2024-12-25": [["09:00", "10:00"]]})


# --- values


def test_calendars_are_values() -> None:
    one = calendar(
        hours={"mon": [["13:00", "17:00:00"], ["09:00", "12:00"], ["12:00", "13:00"]]}, holidays=["12-25", "2024-05-01"]
    )
    same = calendar(hours={"mon": [["09:00", "17:00"]]}, holidays=["2024-05-01/2024-05-01", "12-25", "12-25"])
    assert one == same
    assert {one: 1}[same] == 1
    assert len(one.digest) == 64
    one.add(at("2024-01-01T00:00Z"), hours(1000))
    assert one == same
    assert one != calendar(hours={"mon": [["09:00", "17:00"]]})
    assert one != calendar("Europe/Berlin", {"mon": [["09:00", "17:00"]]}, holidays=["12-25", "2024-05-01"])


def test_the_digest_stays_the_same_between_releases() -> None:
    # Evidence of years ago names it: if this fails, recorded versions no longer name their calendars.
    rules = calendar("Europe/Berlin", {"fri": [["09:00", "17:00:30"]]}, holidays=["12-25", "2024-12-30/2025-01-02"])
    assert rules.rules.canonical == (
        '{"breaks":{},"holidays":["12-25","2024-12-30/2025-01-02"],"hours":{"fri":[["09:00","17:00:30"]]},'
        '"overrides":{},"tz":"Europe/Berlin"}'
    )


# --- refusals


@pytest.mark.parametrize(
    ("mapping", "reason", "where"),
    [
        ({}, Reason.NO_HOURS, "calendar.hours"),
        ({"hours": {"mon": []}}, Reason.NO_HOURS, "calendar.hours.mon"),
        ({"hours": {"Mon": [["09:00", "17:00"]]}}, Reason.UNKNOWN_KEY, "calendar.hours.Mon"),
        ({"hours": OFFICE, "holiday": []}, Reason.UNKNOWN_KEY, "calendar.holiday"),
        ({"hours": {"mon": [["17:00", "09:00"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["09:00", "09:00"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["09:00", "10:00"], ["24:00", "24:00"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[1]"),
        ({"hours": {"mon": [["09:00", "17:00", "18:00"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["09:00", 1020]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["09:00", "9:30"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["0٩:00", "17:00"]]}}, Reason.BAD_INTERVAL, "calendar.hours.mon[0]"),
        ({"hours": {"mon": [["12:00", "18:00"], ["08:00", "13:00"]]}}, Reason.OVERLAP, "calendar.hours.mon[0]"),
        ({"hours": {"mon": "09:00-17:00"}}, Reason.BAD_VALUE, "calendar.hours.mon"),
        ({"hours": []}, Reason.BAD_VALUE, "calendar.hours"),
        ({"hours": OFFICE, "tz": None}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "Bordeaux"}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "Europe"}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "../UTC"}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "x" * 300}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "localtime"}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "tz": "right/UTC"}, Reason.UNKNOWN_ZONE, "calendar.tz"),
        ({"hours": OFFICE, "holidays": ["2024-02-30"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["02-30"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["12-25", "25.12."]}, Reason.BAD_VALUE, "calendar.holidays[1]"),
        ({"hours": OFFICE, "holidays": ["2024-05-02/2024-05-01"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["2024-05-02/05-03"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["2024-05-01/2024-05-02/2024-05-03"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["05-01/05-02/05-03"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": ["2300-05-01"]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": [datetime(2024, 5, 1, tzinfo=UTC)]}, Reason.BAD_VALUE, "calendar.holidays[0]"),
        ({"hours": OFFICE, "holidays": "12-25"}, Reason.BAD_VALUE, "calendar.holidays"),
        ({"hours": OFFICE, "overrides": {"2024-05-01": []}}, Reason.NO_HOURS, "calendar.overrides.2024-05-01"),
        (
            {"hours": OFFICE, "overrides": {"2024-05-01": [["9", "10"]]}},
            Reason.BAD_INTERVAL,
            "calendar.overrides.2024-05-01[0]",
        ),
        ({"hours": OFFICE, "breaks": {"mon": [["12:00", "13:00"]]}}, Reason.BAD_VALUE, "calendar.breaks.mon"),
        (
            {"hours": OFFICE, "breaks": {"2024-05-01": [["12:00", "13:00"]], date(2024, 5, 1): [["12:00", "13:00"]]}},
            Reason.BAD_VALUE,
            "calendar.breaks.2024-05-01",
        ),
        ({"hours": OFFICE, "holidays": ["01-01/12-31"]}, Reason.NEVER_OPENS, "calendar"),
        ({"hours": OFFICE, "holidays": ["2025-01-01/2046-01-01"]}, Reason.NEVER_OPENS, "calendar"),
        (
            {"hours": {"mon": [["09:00", "17:00"]]}, "holidays": ["01-01/02-28", "03-01/12-31"]},
            Reason.NEVER_OPENS,
            "calendar",
        ),
    ],
)
def test_a_calendar_that_cannot_be_used_is_refused_with_its_place(
    mapping: dict[str, object], reason: Reason, where: str
) -> None:
    with pytest.raises(CalendarInvalid) as refused:
        Calendar.from_mapping(mapping)
    assert (refused.value.reason, refused.value.where) == (reason, where)
    assert str(refused.value).startswith(f"{where}: ")
