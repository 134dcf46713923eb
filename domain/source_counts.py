"""What a source says it sent, as an event ``source.counted``: of which type, in which span of time, how many.

The statement stands in the event's ``attributes``, all of them text:

========== ===========================================================================================================
``type``   the event type that was counted, a word of the vocabulary
``since``  begin of the span, RFC 3339 with a zone; only with ``count``
``until``  end of the span, not part of it
``count``  how many there were in the span; or
``total``  a meter's reading at ``until``: the span is the time since its last reading; a lower one is a new beginning
``queue``  if only the events of one queue were counted
``source`` the source that was counted, if another system tells of it
========== ===========================================================================================================

Spans begin and end on a quarter of an hour: by those contact centres report, every time zone's day is made of them,
and what was received is counted by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.errors import HubError, Reason
from schemas.records import InteractionReceived
from schemas.vocabulary import COUNTED, TYPES

SECOND = 1_000_000
QUARTER = 15 * 60 * SECOND
SOURCE = "source"  # the kind of contact point that a source itself is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN = frozenset({"type", "since", "until", "count", "total", "queue", "source"})


class CountInvalid(HubError):
    """A statement that can't be used; ``where`` is the attribute."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A source's own count. ``since`` is None for a meter's reading, and ``count`` then its total."""

    source: str
    type: str
    queue: str
    since: int | None
    until: int
    count: int


def stated(event: InteractionReceived) -> Stated:
    """What an event ``source.counted`` says. Raises ``CountInvalid``."""
    given = event.attributes
    for name in given:
        if name not in _KNOWN:
            raise CountInvalid(Reason.UNKNOWN_KEY, f"unknown; there are {', '.join(sorted(_KNOWN))}", name)
    kind = given.get("type", "")
    if kind not in TYPES or kind == COUNTED:
        raise CountInvalid(Reason.BAD_VALUE, f"{kind!r} is no event type that can be counted", "type")
    meter = "total" in given
    if meter == ("count" in given) or meter == ("since" in given):
        detail = "give either count with since and until, or total with until"
        raise CountInvalid(Reason.MISSING_FIELD, detail, "total" if meter else "count")
    since, until = None if meter else _instant(given, "since"), _instant(given, "until")
    if since is not None and since >= until:
        raise CountInvalid(Reason.BAD_VALUE, "a span ends after it begins", "until")
    number = given["total" if meter else "count"]
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        detail = "a count is a whole number of at most 15 digits, as text"
        raise CountInvalid(Reason.BAD_VALUE, detail, "total" if meter else "count")
    return Stated(given.get("source") or event.source, kind, given.get("queue", ""), since, until, int(number))


def statement(type: str, until: int, total: int, queue: str) -> dict[str, str]:
    """The attributes of a meter's reading."""
    return {"type": type, "until": _written(until), "total": str(total), "queue": queue}


def quarter_of(at: int) -> int:
    """The quarter of an hour that an instant lies in, by its beginning."""
    return at - at % QUARTER


def _instant(given: dict[str, str], name: str) -> int:
    try:
        moment = datetime.fromisoformat(given.get(name, ""))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CountInvalid(Reason.BAD_VALUE, "an instant is RFC 3339 text with a zone, as 2026-03-01T09:30:00Z", name)
    at = (moment - _EPOCH) // timedelta(microseconds=1)
    if at % QUARTER or at < 0:
        raise CountInvalid(Reason.BAD_VALUE, "a span begins and ends on a quarter of an hour", name)
    return at


def _written(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")
