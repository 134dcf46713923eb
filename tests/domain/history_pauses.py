"""Pauses out of a ticket's history of states, as breaks of a calendar: what some suites ask a calendar together with.

The hub's own clocks pause by intervals of instants (``domain.sla``). Here a pause is what it is elsewhere: the time in
a state that does not count, up to the next change, on the local dates and times of the calendar. What comes after the
last change is no pause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from domain.business_time import Calendar

NOT_COUNTED = frozenset({"pending reminder", "pending close", "closed", "merged", "removed"})

Vector = Mapping[str, Any]  # Its shape differs with its op.


def pauses(vector: Vector) -> dict[str, list[list[str]]]:
    """The breaks by local date."""
    zone = ZoneInfo(vector["calendar"]["tz"])
    breaks: dict[str, list[list[str]]] = {}
    for (since, state), (until, _) in pairwise(_states(vector)):
        if state not in NOT_COUNTED:
            continue
        start, end = since.astimezone(zone), until.astimezone(zone)
        for day in (start.date() + timedelta(days=n) for n in range((end.date() - start.date()).days + 1)):
            first = f"{start:%H:%M}" if day == start.date() else "00:00"
            last = f"{end:%H:%M}" if day == end.date() else "24:00"
            if first < last:
                breaks.setdefault(day.isoformat(), []).append([first, last])
    return breaks


def _states(vector: Vector) -> Iterator[tuple[datetime, str]]:
    yield _at(vector["ticket"]["created_at"]), vector["ticket"]["state"]
    for event in vector["events"]:
        if event["kind"] == "state":
            yield _at(event["at"]), event["to"]


def destination(vector: Vector) -> datetime:
    """The instant at which the span has passed, pauses left out."""
    return _calendar(vector).add(_at(vector["start"]), timedelta(minutes=vector["span_min"]))


def worked(vector: Vector) -> int:
    """Whole minutes from start to end that the ticket was there for, pauses left out."""
    ticket = vector["ticket"]
    start = max(_at(vector["start"]), _at(ticket["created_at"]))
    end = min(_at(vector["end"]), _at(ticket["close_at"])) if ticket.get("close_at") else _at(vector["end"])
    return _calendar(vector).between(start, end) // timedelta(minutes=1)


def _calendar(vector: Vector) -> Calendar:
    return Calendar.from_mapping({**vector["calendar"], "breaks": pauses(vector)})


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
