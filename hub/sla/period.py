"""A period as a person gives it on the command line: dates, or instants with their offset from UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import NamedTuple

from domain.business_time import to_us
from domain.errors import DurationInvalid, Reason

FOR_EVER = 1 << 62


class Period(NamedTuple):
    """[begin, end) in microseconds."""

    begin: int = 0
    end: int = FOR_EVER

    def holds(self, at: int) -> bool:
        """Whether an instant lies within."""
        return self.begin <= at < self.end


EVER = Period()


def period(begin: str, end: str) -> Period:
    """The period from ``begin`` up to, and not including, ``end``; an empty one is open on that side.

    Raises ``DurationInvalid`` for what is no instant, has no time zone, or ends before it begins.
    """
    found = Period(_instant(begin, "--from") if begin else 0, _instant(end, "--to") if end else FOR_EVER)
    if found.end <= found.begin:
        raise DurationInvalid(Reason.BAD_INTERVAL, f"{end} is not after {begin}", "--to")
    return found


def _instant(text: str, where: str) -> int:
    try:
        if len(text) == len("2026-01-05"):
            day = date.fromisoformat(text)
            return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
        found = datetime.fromisoformat(text)
    except ValueError as error:
        words = f"{text!r} is no instant; write 2026-01-05 (in UTC) or 2026-01-05T09:00+01:00"
        raise DurationInvalid(Reason.BAD_VALUE, words, where) from error
    if found.utcoffset() is None:
        raise DurationInvalid(Reason.NAIVE_INSTANT, f"{text} has no time zone; give it one, such as {text}Z", where)
    return to_us(found)
