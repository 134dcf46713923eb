"""What is told of sources: how much came, what is missing of their numbers, and what they say they sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from domain.sequences import Gap
from projections.sources.store import SourceKey
from projections.sql import load
from projections.values import from_json, storable_or_null

if TYPE_CHECKING:
    from projections.postgres import Connection

_SOURCES = load(__file__, "sources")
_OPEN_STREAMS = load(__file__, "open_streams")
_COMPARED = load(__file__, "compared")
_gaps = from_json(list[Gap])
DAY = 24 * 3600 * 1_000_000
MOST = 1000


class Stream(msgspec.Struct, frozen=True):
    """A stream with gaps: at most the first ten of them. ``conversation`` is empty where it is all of the source."""

    conversation: str
    missing: int
    gaps: list[Gap]


class Compared(msgspec.Struct, frozen=True):
    """A source's own count of a span beside what was received. ``settled``: late events had their time to come."""

    type: str
    queue: str
    since: int
    until: int
    stated: int
    received: int
    settled: bool


class Source(msgspec.Struct, frozen=True):
    """A source. ``today``: events that occurred since midnight UTC; ``overdue``: of gaps that are open for longer than
    late events need; instants in microseconds."""

    tenant: str
    source: str
    events: int
    today: int
    first_at: int
    last_at: int
    last_occurred_at: int
    gaps: int
    missing: int
    overdue_gaps: int
    overdue_missing: int
    streams: list[Stream] = []
    compared: list[Compared] = []


async def sources(
    connection: Connection,
    now: int,
    grace: int,
    tenant: str | None = None,
    source: str | None = None,
    most: int = MOST,
) -> list[Source]:
    """Sources, the first heard of first, without their streams and counts. ``grace``: how long a gap may be open."""
    names = storable_or_null(tenant), storable_or_null(source)
    rows = await connection.fetch(_SOURCES, now - now % DAY, now - grace, *names, most)
    return [Source(**dict(row)) for row in rows]


async def in_full(
    connection: Connection, some: Sequence[Source], now: int, grace: int, streams: int = 10, days: int = 1
) -> list[Source]:
    """The same with at most so many streams that have gaps, the last active first, and with the counts of ``days``."""
    keys = [SourceKey(each.tenant, each.source) for each in some]
    columns = [key.tenant for key in keys], [key.source for key in keys]
    open_ones: dict[SourceKey, list[Stream]] = {}
    for row in await connection.fetch(_OPEN_STREAMS, *columns, streams):
        stream = Stream(row["conversation"], row["missing"], _gaps(row["gaps"])[:10])
        open_ones.setdefault(SourceKey(row["tenant"], row["source"]), []).append(stream)
    compared: dict[SourceKey, list[Compared]] = {}
    for row in await connection.fetch(_COMPARED, *columns, now - days * DAY):
        settled = row["until"] + grace <= now
        one = Compared(
            row["type"], row["queue"], row["since"], row["until"], row["stated"], row["received"], settled
        )  # fmt: skip
        compared.setdefault(SourceKey(row["tenant"], row["source"]), []).append(one)
    return [
        msgspec.structs.replace(each, streams=open_ones.get(key, []), compared=compared.get(key, []))
        for key, each in zip(keys, some, strict=True)
    ]


def difference(source: Source) -> int:
    """What the source says it sent less what was received of it, over the counts that are settled."""
    return sum(each.stated - each.received for each in source.compared if each.settled)
