"""Holidays that are named, not listed: those of a country, and the days of an iCalendar feed, turned into dates.

It happens once, when a bundle is applied: on the log stand dates, each with where it came from, so that no later
release of a library and no change of a feed can change what was promised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.calendars import zone as zone_of
from domain.errors import CalendarInvalid, PolicyInvalid, Reason
from hub.policy import feeds

MOST_YEARS = 30
MOST_DATES = 5000
COUNTRY = ("country", "subdivision", "language", "years")
_FEED = ("ical", "years")
_YEARS = re.compile("([0-9]{4})(?:-([0-9]{4}))?", re.ASCII)
Fetch = Callable[[str], bytes]
"""Reads an https address. Raises ``PolicyInvalid``."""


class Origin(NamedTuple):
    """Where named holidays are looked for: files beside ``folder``; ``year``: the year it is."""

    folder: Path
    year: int
    fetch: Fetch


class Resolved(NamedTuple):
    """A document whose holidays are dates. ``moved``: places in it to those in the document as it was written;
    ``notes``: (place, sentence) of what was left out; ``named``: how many entries were turned into dates."""

    document: object
    moved: Mapping[str, str]
    notes: Sequence[tuple[str, str]]
    errors: Sequence[PolicyInvalid]
    named: int


def resolve(document: object, origin: Origin) -> Resolved:
    """``document`` with dates in place of countries and feeds; what is no bundle comes back as it is."""
    moved: dict[str, str] = {}
    notes: list[tuple[str, str]] = []
    errors: list[PolicyInvalid] = []
    named = 0
    calendars = document.get("calendars") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(calendars, dict):
        return Resolved(document, moved, notes, errors, 0)
    made: dict[str, object] = {}
    for name, body in calendars.items():
        made[name] = body
        entries = body.get("holidays") if isinstance(body, dict) else None
        if not isinstance(entries, list) or not any(isinstance(entry, dict) for entry in entries):
            continue
        where = f"calendars.{name}.holidays"
        kept: list[object] = []
        found: dict[date, str] = {}
        for index, entry in enumerate(entries):
            here = f"{where}[{index}]"
            if not isinstance(entry, dict):
                moved[f"{where}[{len(kept)}]"] = here
                kept.append(entry)
                continue
            named += 1
            try:
                dates, left_out = _dates(entry, here, body, origin)
            except PolicyInvalid as error:
                errors.append(error)
                continue
            notes += [(here, said) for said in left_out]
            found = dates | found
        if len(found) > MOST_DATES:
            errors.append(PolicyInvalid(Reason.TOO_LARGE, f"has more than {MOST_DATES} days; name fewer years", where))
            found = {}
        told = body.get("holidays_from")
        texts = {day.isoformat(): text for day, text in sorted(found.items())}
        made[name] = {
            **body,
            "holidays": [*kept, *(day for day in texts if day not in kept)],
            "holidays_from": {**texts, **told} if isinstance(told, dict) else texts,
        }
    return Resolved({**document, "calendars": made}, moved, notes, errors, named)


def _dates(
    entry: Mapping[str, object], where: str, calendar: Mapping[str, object], origin: Origin
) -> tuple[dict[date, str], list[str]]:
    known = _FEED if "ical" in entry else COUNTRY
    for key in entry:
        if key not in known:
            what = f"{key!r} is not known here; known are {', '.join(known)}"
            raise PolicyInvalid(Reason.UNKNOWN_KEY, what, f"{where}.{key}")
    if "ical" in entry:
        years = _years(entry.get("years", f"{origin.year}-{origin.year + 2}"), f"{where}.years")
        return _of_feed(_text(entry["ical"], f"{where}.ical"), f"{where}.ical", years, calendar, origin)
    years = _years(entry.get("years"), f"{where}.years")
    country = _text(entry.get("country"), f"{where}.country")
    subdivision = _text(entry["subdivision"], f"{where}.subdivision") if "subdivision" in entry else None
    language = _text(entry["language"], f"{where}.language") if "language" in entry else None
    return _of_country(country, subdivision, language, years, where), []


def _of_country(
    country: str, subdivision: str | None, language: str | None, years: range, where: str
) -> dict[date, str]:
    import holidays  # a library of all countries: loaded when one is named

    release = version("holidays")

    known = holidays.list_supported_countries()
    if country not in known:
        what = f"no holidays are known of {country!r}; write two letters of ISO 3166, such as DE"
        raise PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.country")
    if subdivision is not None and subdivision not in known[country]:
        what = f"{country} has no {subdivision!r}; known are {', '.join(sorted(known[country])) or 'none'}"
        raise PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.subdivision")
    entity = holidays.country_holidays(country)
    languages = entity.supported_languages or ()
    if language is not None and language not in languages:
        what = f"the names are not known in {language!r}; known are {', '.join(languages) or 'none'}"
        raise PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.language")
    # The country's own language unless one is named: by default it is that of the machine.
    spoken = language or entity.default_language
    found = holidays.country_holidays(country, subdiv=subdivision, years=years, language=spoken)
    source = f"{country}-{subdivision}" if subdivision else country
    listed = {day: f"{name[:120]} ({source}, holidays {release})" for day, name in found.items()}
    if not listed:
        raise PolicyInvalid(Reason.BAD_VALUE, f"no holidays of {source} are known in these years", where)
    return {day: text for day, text in listed.items() if day.year in years}


def _of_feed(
    address: str, where: str, years: range, calendar: Mapping[str, object], origin: Origin
) -> tuple[dict[date, str], list[str]]:
    if "://" in address:
        if not address.startswith("https://"):
            raise PolicyInvalid(Reason.BAD_VALUE, "a feed is a file or an https address", where)
        try:
            data = origin.fetch(address)
        except PolicyInvalid as error:
            raise PolicyInvalid(error.reason, error.detail, where) from error
        source = address.removeprefix("https://").partition("/")[0].rpartition("@")[2]  # paths of feeds are secrets
    else:
        path = origin.folder / address
        source = path.name
        try:
            with path.open("rb") as file:
                data = file.read(feeds.LARGEST + 1)
        except (OSError, ValueError) as error:
            what = f"the feed can't be read: {getattr(error, 'strerror', None) or error}"
            raise PolicyInvalid(Reason.BAD_VALUE, what, where) from error
    found = feeds.closed_days(data, _zone(calendar), years, where)
    return {day: f"{text[:120]} ({source[:60]})" for day, text in found.days.items()}, found.notes


def _zone(calendar: Mapping[str, object]) -> ZoneInfo:
    """The calendar's zone; a zone that there is not is told of by the reader of bundles."""
    try:
        return zone_of(calendar.get("tz", "Etc/UTC"), "")
    except CalendarInvalid:
        return ZoneInfo("Etc/UTC")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        what = "a text is needed here; quote what YAML reads as something else, such as NO"
        raise PolicyInvalid(Reason.MISSING_FIELD, what, where)
    return value


def _years(value: object, where: str) -> range:
    text = str(value) if isinstance(value, int) and 0 < value < 10_000 else value
    match = _YEARS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise PolicyInvalid(Reason.BAD_VALUE if value else Reason.MISSING_FIELD, "write 2026, or 2026-2028", where)
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1900 <= first <= last < min(2200, first + MOST_YEARS):
        raise PolicyInvalid(Reason.BAD_VALUE, f"write at most {MOST_YEARS} years, from 1900 to 2199", where)
    return range(first, last + 1)
