"""Every reason why a calendar is refused, not only the first: it is read again, a part at a time.

``domain.calendars.parse`` stops at what it can't read, as a running system should; a person who writes a calendar wants
to hear everything at once. Slow, and asked for only when a calendar was refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from domain.calendars import parse
from domain.errors import CalendarInvalid

_FINE = {"mon": [["00:00", "24:00"]]}
_MOST = 100
_MOST_PARTS = 2000


def calendar_faults(given: Mapping[str, object], where: str) -> list[CalendarInvalid]:
    """The reasons in the order of the mapping, at most 100, of its first 2,000 parts; empty if these are fine, and only
    the whole is not."""
    found: list[CalendarInvalid] = []
    for part, inside, real in islice(_parts(given, where), _MOST_PARTS):
        try:
            parse(part, where)
        except CalendarInvalid as error:
            found.append(CalendarInvalid(error.reason, error.detail, error.where.replace(inside, real, 1)))
            if len(found) == _MOST:
                break
    return found


def _parts(given: Mapping[str, object], where: str) -> Iterator[tuple[Mapping[str, object], str, str]]:
    """Calendars that hold one part of the given one each; a place ``inside`` them is ``real`` in the given one."""
    for key, value in given.items():
        here = f"{where}.{key}"
        if key == "hours" and isinstance(value, Mapping) and value:
            for day, spans in value.items():
                yield {key: {day: spans}}, here, here
        elif key == "holidays" and isinstance(value, list):
            for index, entry in enumerate(value):
                if not isinstance(entry, Mapping):  # a country or a feed, of which the reader of bundles speaks
                    yield {"hours": _FINE, key: [entry]}, f"{here}[0]", f"{here}[{index}]"
        elif key in ("breaks", "overrides") and isinstance(value, Mapping):
            for day, spans in value.items():
                yield {"hours": _FINE, key: {day: spans}}, here, here
        else:
            yield {"hours": _FINE, key: value}, here, here
    if "hours" not in given:
        yield {}, where, where
