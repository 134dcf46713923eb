"""``hub policy check``: every fault with file, line and column; holidays of countries and feeds become dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from domain.errors import PolicyInvalid
from hub.policy import feeds
from hub.policy.files import Checked, check
from tests.cli.running import hub, inside
from tests.docs.pages import code
from tests.shared import ROOT

Json = Any  # Any: JSON
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
BUNDLE = """\
name: standard
calendars:
  office:
    tz: Europe/Berlin
    hours:
      mon: [["09:00", "17:00"]]
      tue: [["09:00", "17:00"]]
    holidays:
{holidays}
policies:
  - name: standard
    calendar: office
    targets:
      first_response: {target}
"""


def bundle(folder: Path, *holidays: str, target: str = "4h") -> Path:
    """A file with a bundle that has these holidays."""
    file = folder / "policies.yaml"
    lines = "\n".join(f"      - {holiday}" for holiday in holidays or ("12-25",))
    file.write_text(BUNDLE.format(holidays=lines, target=target))
    return file


def dates(checked: Checked) -> dict[str, str]:
    """The holidays of the calendar on the log with where they came from."""
    assert checked.faults == []
    office: Json = yaml.safe_load(checked.text)["calendars"]["office"]
    found = office.get("holidays_from", {})
    return {day: found.get(day, "") for day in office["holidays"]}


def test_a_bundle_without_faults(tmp_path: Path) -> None:
    ran = hub("policy", "check", str(bundle(tmp_path)))  # once as a person does it
    assert (ran.code, ran.err) == (0, "")
    assert "1 calendars, 1 policies" in ran.out


def test_every_fault_is_said_with_its_line_and_column(tmp_path: Path) -> None:
    file = bundle(tmp_path, "12-32", "{country: DE, years: 2026}", "{country: XX, years: 2026}", target="-4h")
    ran = inside("policy", "check", str(file))
    assert ran.code == 2
    places = [line.partition(": ")[0] for line in ran.err.splitlines()]
    assert places == [f"{file}:9:9", f"{file}:11:19", f"{file}:16:23"]
    assert "-4h" in ran.err
    as_json = inside("policy", "check", str(file), "--json")
    assert as_json.code == 2
    told = json.loads(as_json.out)
    assert not told["usable"]
    assert [(fault["line"], fault["where"], fault["reason"]) for fault in told["faults"]] == [
        (9, "calendars.office.holidays[0]", "bad_value"),
        (11, "calendars.office.holidays[2].country", "bad_value"),
        (16, "policies[0].targets.first_response", "negative_duration"),
    ]


def test_what_is_seldom_meant_is_a_note(tmp_path: Path) -> None:
    file = bundle(tmp_path, target="{normal: 1h, high: 2h}")
    ran = inside("policy", "check", str(file))
    assert ran.code == 0
    assert f"{file}:14:42: note: policies[0].targets.first_response.high: " in ran.err


def test_a_text_that_moves_the_cursor_is_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text('"\\e[31mred\\nline": 1\n')
    ran = inside("policy", "check", str(file))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert "\x1b" not in ran.err


@pytest.mark.parametrize("content", [b"a: [", b"", b"x" * 5_000_000], ids=["yaml", "empty", "large"])
def test_what_is_no_bundle(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_bytes(content)
    ran = inside("policy", "check", str(file))
    assert ran.code == 2
    assert ran.err.startswith(str(file))
    assert len(ran.err.splitlines()) == 1


def test_a_file_that_is_no_text_or_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_bytes(b"\xff\xfe")
    for wanted, words in ((file, "UTF-8"), (tmp_path / "absent.yaml", "No such file")):
        with pytest.raises(PolicyInvalid, match=words) as refused:
            inside("policy", "check", str(wanted))
        assert refused.value.where == str(wanted)


def test_the_holidays_of_a_country_become_dates_with_their_names(tmp_path: Path) -> None:
    file = bundle(tmp_path, "12-25", "{country: DE, subdivision: BE, years: 2026-2027}", "2026-12-24/2027-01-01")
    found = dates(check(file, 2026))
    assert list(found)[:2] == ["12-25", "2026-12-24/2027-01-01"]
    assert found["2026-05-01"].startswith("Erster Mai (DE-BE, holidays ")
    assert found["2027-03-08"].startswith("Internationaler Frauentag (DE-BE")  # of Berlin only
    assert {day[:4] for day in found if len(day) == 10} == {"2026", "2027"}
    english = bundle(tmp_path, "{country: DE, years: 2026, language: en_US}")
    assert dates(check(english, 2026))["2026-05-01"].startswith("Labor Day (DE, holidays ")


def test_what_goes_on_the_log_is_taken_again_as_it_is(tmp_path: Path) -> None:
    first = check(bundle(tmp_path, "{country: FR, years: 2026}"), 2026)
    again = tmp_path / "again.yaml"
    again.write_text(first.text)
    second = check(again, 2030)
    assert second.text == first.text
    assert second.bundle == first.bundle
    assert second.bundle is not None
    assert set(second.bundle.sources["office"]) == {day for day in dates(second) if day.startswith("2026")}


@pytest.mark.parametrize(
    ("holiday", "where"),
    [
        ("{country: DE}", "years"),
        ("{years: 2026}", "country"),
        ("{country: no, years: 2026}", "country"),
        ("{country: DE, subdivision: XX, years: 2026}", "subdivision"),
        ("{country: DE, language: xx, years: 2026}", "language"),
        ("{country: DE, years: 2026-2025}", "years"),
        ("{country: DE, years: 1900-2199}", "years"),
        ("{country: DE, years: 99999999999999999999}", "years"),
        ("{country: DE, years: soon}", "years"),
        ("{country: DE, years: 2026, colour: red}", "colour"),
        ("{ical: 5}", "ical"),
        ("{ical: absent.ics}", "ical"),
        ("{ical: 'http://example.com/closed.ics'}", "ical"),
        ("{ical: 'file:///etc/hostname'}", "ical"),
        ('{ical: "a\\0b"}', "ical"),
        ("{ical: policies.yaml}", "ical"),
        ("{}", "years"),
    ],
)
def test_holidays_that_cannot_be_found_are_refused_with_their_place(holiday: str, where: str, tmp_path: Path) -> None:
    (fault,) = check(bundle(tmp_path, holiday), 2026).faults
    assert fault.where == f"calendars.office.holidays[0].{where}"
    assert fault.line == 9


def feed(*events: str) -> str:
    """An iCalendar feed; an event is its lines, with a UID where it has none."""
    made = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//tests//EN"]
    for number, event in enumerate(events):
        lines = [line.strip() for line in event.strip().splitlines()]
        uid = [] if any(line.startswith("UID") for line in lines) else [f"UID:{number}"]
        made += ["BEGIN:VEVENT", *uid, "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"]
    return "\r\n".join([*made, "END:VCALENDAR", ""])


def closed(folder: Path, text: str, years: str = "2026") -> Checked:
    (folder / "closed.ics").write_bytes(text.encode())
    return check(bundle(folder, f"{{ical: closed.ics, years: {years}}}"), 2026)


def days(first: str, count: int = 1) -> set[str]:
    return {(date.fromisoformat(first) + timedelta(days=n)).isoformat() for n in range(count)}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART;VALUE=DATE:20260801", days("2026-08-01")),
        ("DTSTART;VALUE=DATE:20260801\nDTEND;VALUE=DATE:20260804", days("2026-08-01", 3)),
        ("DTSTART;VALUE=DATE:20260801\nDURATION:P1W", days("2026-08-01", 7)),
        ("DTSTART;VALUE=DATE:20251230\nDTEND;VALUE=DATE:20260103", days("2026-01-01", 2)),
        ("DTSTART;VALUE=DATE:20260801\nSTATUS:CANCELLED", set()),
        # Each year, from long ago; the first Monday of each quarter; a count; an end that is a date or an instant.
        ("DTSTART;VALUE=DATE:20010501\nRRULE:FREQ=YEARLY", days("2026-05-01")),
        (
            "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=MONTHLY;INTERVAL=3;BYDAY=1MO",
            {"2026-01-05", "2026-04-06", "2026-07-06", "2026-10-05"},
        ),
        ("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=2", {"2026-01-05", "2026-01-12"}),
        ("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;UNTIL=20260112", {"2026-01-05", "2026-01-12"}),
        ("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;UNTIL=20260111T230000Z", {"2026-01-05"}),
        (
            "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=3\nEXDATE;VALUE=DATE:20260112\n"
            "RDATE;VALUE=DATE:20260301",
            {"2026-01-05", "2026-01-19", "2026-03-01"},
        ),
        ("DTSTART;VALUE=DATE:20260131\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", set()),
        # Timed events close what they cover from midnight to midnight in the calendar's zone.
        ("DTSTART;TZID=Europe/Berlin:20260801T000000\nDTEND;TZID=Europe/Berlin:20260803T000000", days("2026-08-01", 2)),
        ("DTSTART:20260731T220000Z\nDTEND:20260801T220000Z", days("2026-08-01")),
        ("DTSTART:20260801T000000Z\nDTEND:20260802T000000Z", set()),
        ("DTSTART:20260801T000000\nDTEND:20260802T000000", days("2026-08-01")),
        ("DTSTART;TZID=America/New_York:20260731T180000\nDURATION:P1D", days("2026-08-01")),
        ("DTSTART;TZID=Europe/Berlin:20260801T090000\nDTEND;TZID=Europe/Berlin:20260801T120000", set()),
        # The day on which clocks go back is 25 hours long, and an event of 24 does not cover it.
        ("DTSTART;TZID=Europe/Berlin:20261025T000000\nDTEND;TZID=Europe/Berlin:20261026T000000", days("2026-10-25")),
        ("DTSTART;TZID=Europe/Berlin:20261025T000000\nDURATION:PT24H", set()),
        (
            "DTSTART;TZID=Europe/Berlin:20261019T000000\nDTEND;TZID=Europe/Berlin:20261020T000000\n"
            "RRULE:FREQ=WEEKLY;COUNT=2",
            {"2026-10-19", "2026-10-26"},
        ),
    ],
)  # fmt: skip
def test_a_feed_closes_whole_days(event: str, expected: set[str], tmp_path: Path) -> None:
    assert set(dates(closed(tmp_path, feed(event)))) == expected


def test_an_occurrence_that_was_moved_or_cancelled_counts_as_it_stands(tmp_path: Path) -> None:
    series = "UID:s\nSUMMARY:Training\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=4"
    moved = "UID:s\nSUMMARY:Moved\nRECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113"
    cancelled = "UID:s\nRECURRENCE-ID;VALUE=DATE:20260119\nDTSTART;VALUE=DATE:20260119\nSTATUS:CANCELLED"
    found = dates(closed(tmp_path, feed(series, moved, cancelled)))
    assert found == {
        "2026-01-05": "Training (closed.ics)",
        "2026-01-13": "Moved (closed.ics)",
        "2026-01-26": "Training (closed.ics)",
    }


def test_an_event_without_a_name_and_one_for_part_of_a_day(tmp_path: Path) -> None:
    part = "DTSTART:20260801T090000Z\nDTEND:20260801T100000Z"
    found = closed(tmp_path, feed("DTSTART;VALUE=DATE:20260801", part))
    assert dates(found) == {"2026-08-01": "closed (closed.ics)"}
    assert [note.detail for note in found.notes] == [
        "1 events of the feed cover no whole day of Europe/Berlin, and were left out"
    ]


def test_without_years_a_feed_is_read_for_this_year_and_two_more(tmp_path: Path) -> None:
    (tmp_path / "closed.ics").write_text(feed("DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY"))
    found = dates(check(bundle(tmp_path, "{ical: closed.ics}"), 2027))
    assert list(found) == ["2027-05-01", "2028-05-01", "2029-05-01"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BEGIN:VCALENDAR",
        "no feed at all",
        feed("SUMMARY:without a start"),
        feed("DTSTART:soon"),
        feed("DTSTART;VALUE=DATE:20260801\nDTEND;VALUE=DATE:20260701"),
        feed("DTSTART;VALUE=DATE:20260801\nDTEND;VALUE=DATE:20290701"),
        feed("DTSTART;VALUE=DATE:20260801\nDTEND:20260802T000000Z"),
        feed("DTSTART;VALUE=DATE:20260801\nRRULE:FREQ=SECONDLY"),
        feed("DTSTART;VALUE=DATE:20260801\nRRULE:COUNT=3"),
        feed("DTSTART;VALUE=DATE:20260801\nRRULE:FREQ=DAILY\nRRULE:FREQ=YEARLY"),
        feed("DTSTART;VALUE=DATE:20260801\nRECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20260801"),
        feed("DTSTART;VALUE=DATE:20260801") + " " * 1_000_000,
        feed(*["DTSTART;VALUE=DATE:20260801"] * 5001),
    ],
    ids=range(14),
)
def test_what_is_no_feed_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    found = closed(tmp_path, text)
    if not found.faults:  # icalendar takes what holds no event for an empty calendar
        assert "VEVENT" not in text
        assert dates(found) == {}
        return
    (fault,) = found.faults
    assert fault.where == "calendars.office.holidays[0].ical"
    assert len(fault.detail) < 300


def test_more_days_than_a_bundle_holds_are_refused(tmp_path: Path) -> None:
    found = closed(tmp_path, feed("DTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY"), years="2000-2029")
    assert [fault.where for fault in found.faults] == ["calendars.office.holidays"]


def test_a_feed_at_an_https_address_is_fetched_and_only_its_host_is_kept(tmp_path: Path) -> None:
    asked = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return feed("DTSTART;VALUE=DATE:20260801\nSUMMARY:Summer").encode()

    address = "https://someone:pass@calendar.example.com/private-7f3a/basic.ics?key=1"
    found = check(bundle(tmp_path, f"{{ical: '{address}', years: 2026}}"), 2026, fetch)
    assert asked == [address]
    assert dates(found) == {"2026-08-01": "Summer (calendar.example.com)"}
    assert "7f3a" not in found.text


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler))


def test_a_feed_is_fetched_over_https_only_and_not_without_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https"
        match request.url.path:
            case "/closed.ics":
                return httpx.Response(200, content=b"BEGIN:VCALENDAR")
            case "/moved":
                return httpx.Response(302, headers={"Location": "/closed.ics"})
            case "/round":
                return httpx.Response(302, headers={"Location": "/round"})
            case "/away":
                return httpx.Response(302, headers={"Location": "http://example.com/closed.ics"})
            case "/large":
                return httpx.Response(200, content=(b"x" * 100_000 for _ in range(1_000_000)))
            case "/silent":
                raise httpx.ReadTimeout("", request=request)
        return httpx.Response(404)

    host = "https://example.com"
    assert feeds.fetch(f"{host}/closed.ics", answering(answer)) == b"BEGIN:VCALENDAR"
    assert feeds.fetch(f"{host}/moved", answering(answer)) == b"BEGIN:VCALENDAR"
    assert feeds.LARGEST < len(feeds.fetch(f"{host}/large", answering(answer))) < 2 * feeds.LARGEST
    for path, words in (
        ("/away", "https"),
        ("/round", "3 times"),
        ("/absent", "404"),
        ("/silent", "ReadTimeout"),
        (":x", "InvalidURL"),
    ):
        with pytest.raises(PolicyInvalid, match=words):
            feeds.fetch(f"{host}{path}", answering(answer))


@pytest.mark.parametrize("text", [piece.text for piece in code(PAGE) if piece.language == "yaml"])
def test_every_bundle_of_the_docs_can_be_applied(text: str, tmp_path: Path) -> None:
    for piece in code(PAGE):
        if piece.language == "ics":
            (tmp_path / "closed.ics").write_text(piece.text)
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    checked = check(file, 2026)
    assert checked.faults == []
    assert checked.notes == []
