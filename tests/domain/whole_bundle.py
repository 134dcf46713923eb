"""A bundle in which everything stands that can, for tests that change one place of it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = Any  # Any: JSON
FULL: Json = {
    "name": "full",
    "calendars": {
        "office": {
            "tz": "Europe/Berlin",
            "hours": {"mon": [["09:00", "12:00"], ["13:00", "17:00:30"]], "sun": [["00:00", "24:00"]]},
            "holidays": ["2026-05-01", "12-25", "2026-12-24/2027-01-01", "12-24/01-02"],
            "breaks": {"2026-06-11": [["12:00", "13:30"]]},
            "overrides": {"12-24": [["10:00", "14:00"]]},
            "holidays_from": {"2026-05-01": "Labour Day"},
        }
    },
    "policies": [
        {
            "name": "vendor",
            "match": {"tenant": "t", "priority": ["high"], "organisation": ["a", "b"]},
            "calendar": "office",
            "targets": {"first_response": {"high": "4h", "pauses": ["pending"]}, "resolution": "2d"},
            "warnings": [50, "15m"],
            "boundary": "close",
            "reopen": "new_cycle",
        }
    ],
    "routes": [{"match": {"channel": "email"}, "assign": {"queue": "q", "team": "t", "organisation": "o"}}],
    "escalations": [
        {
            "name": "up",
            "match": {"tier": "gold"},
            "when": {"metric": "resolution", "outcome": "warned", "threshold": 50},
            "to": {"queue": "q", "team": "t", "organisation": "o", "person": "p"},
            "level": 2,
        },
        {"name": "down", "when": {"metric": "resolution", "outcome": "breached"}, "to": {"team": "t"}},
    ],
    "queues": {"q": {"answer_within": "20s", "short_abandon": "0s", "formula": "sl_strict"}},
    "tickets": {
        "join_window": "1h",
        "close_after": "1h",
        "concurrent_window": "1h",
        "repeat_window": "1h",
        "subject_matter": ["order"],
        "call_opens": "queued",
    },
}


def paths(document: Json, before: tuple[Json, ...] = ()) -> Iterator[tuple[Json, ...]]:
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*before, key))


def at(document: Json, path: tuple[Json, ...]) -> Json:
    for step in path:
        document = document[step]
    return document


PATHS = list(paths(FULL))
