"""Sources in PostgreSQL: what a batch adds to them, written in the transaction that moves the positions.

What the numbers of a stream mean is decided in ``domain.sequences``; several readers may hold partitions in which one
stream has events, so a stream is locked, read, folded and written, always in one order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from domain.sequences import Gap, Seen, see
from projections.positions.store import Place, Step
from projections.sql import load
from projections.values import as_json, from_json, texts

if TYPE_CHECKING:
    from projections.postgres import Connection

_BEGIN = load(__file__, "begin")
_POSITIONS = load(__file__, "positions")
_MOVE = load(__file__, "move")
_RECENT = load(__file__, "recent")
_REMEMBER = load(__file__, "remember")
_FORGET = load(__file__, "forget")
_ADD_SOURCES = load(__file__, "add_sources")
_ADD_RECEIVED = load(__file__, "add_received")
_METERS = load(__file__, "meters")
_PUT_METERS = load(__file__, "put_meters")
_PUT_STATED = load(__file__, "put_stated")
_BEGIN_STREAMS = load(__file__, "begin_streams")
_LOCK_STREAMS = load(__file__, "lock_streams")
_PUT_STREAMS = load(__file__, "put_streams")
_RESET = load(__file__, "reset")
_PRUNE = [load(__file__, name) for name in ("prune_received", "prune_stated", "prune_streams")]
ID_BYTES = 16
_gaps = from_json(list[Gap])


class SourceKey(NamedTuple):
    """A source of a tenant."""

    tenant: str
    source: str


class Counted(NamedTuple):
    """What is counted together: events of one type, and where they tell one, of one queue."""

    tenant: str
    source: str
    type: str
    queue: str


class StreamKey(NamedTuple):
    """What a sequence counts; ``conversation`` is empty where it is all of the source."""

    tenant: str
    source: str
    conversation: str


@dataclass(slots=True)
class Sum:
    """Events of one source in a batch; instants in microseconds."""

    events: int
    first_at: int
    last_at: int
    last_occurred_at: int


class Number(NamedTuple):
    """A number of a stream that came at an instant; ``first``: where its stream begins, if that is known."""

    number: int
    at: int
    first: int | None


class Span(NamedTuple):
    """What was stated of a span; ``since`` is None for a meter's reading, and ``events`` then its total."""

    since: int | None
    until: int
    events: int


class Remembered(NamedTuple):
    """The ids at the offsets of a batch, ``ID_BYTES`` each, and the offset below which none is needed any more."""

    first_offset: int
    next_offset: int
    ids: bytes
    needed_from: int


@dataclass(slots=True)
class Batch:
    """What a batch of several partitions adds. ``streams`` and ``stated`` in the order in which they were read."""

    sums: dict[SourceKey, Sum] = field(default_factory=dict)
    received: dict[tuple[Counted, int], int] = field(default_factory=dict)
    streams: dict[StreamKey, list[Number]] = field(default_factory=dict)
    stated: dict[Counted, list[Span]] = field(default_factory=dict)
    remembered: dict[Place, Remembered] = field(default_factory=dict)
    prune_before: int | None = None


async def reset(connection: Connection) -> None:
    """Forget everything, so that all is counted anew from what the topic still keeps. Readers at work are fenced."""
    await connection.execute(_RESET)


async def take(connection: Connection, places: Collection[Place]) -> dict[Place, int]:
    """The next offset of each place; 0 is recorded for one that was never read."""
    topics, partitions = [each.topic for each in places], [each.partition for each in places]
    await connection.execute(_BEGIN, topics, partitions)
    rows = await connection.fetch(_POSITIONS, topics, partitions)
    return {Place(row["topic"], row["partition"]): row["next"] for row in rows}


async def recent(connection: Connection, places: Collection[Place]) -> dict[Place, list[tuple[int, bytes]]]:
    """The ids of the last offsets of each place, as (offset of the first, ids), in their order."""
    found: dict[Place, list[tuple[int, bytes]]] = {place: [] for place in places}
    rows = await connection.fetch(_RECENT, [each.topic for each in places], [each.partition for each in places])
    for row in rows:
        found[Place(row["topic"], row["partition"])].append((row["first_offset"], row["ids"]))
    return found


async def add(connection: Connection, batch: Batch, steps: Mapping[Place, Step]) -> set[Place]:
    """Add a batch inside the caller's transaction. Returns the places that did not stand where expected: if there are
    any, nothing was added, and the caller must roll back."""
    ordered = sorted(steps)
    rows = await connection.fetch(
        _MOVE,
        [place.topic for place in ordered],
        [place.partition for place in ordered],
        [steps[place].expected for place in ordered],
        [steps[place].next for place in ordered],
    )
    lost = set(ordered) - {Place(row["topic"], row["partition"]) for row in rows}
    if lost:
        return lost
    await _remember(connection, batch.remembered)
    await _streams(connection, batch.streams)
    await _sums(connection, batch)
    await _stated(connection, batch.stated)
    if batch.prune_before is not None:
        for statement in _PRUNE:
            await connection.execute(statement, batch.prune_before)
    return lost


async def _remember(connection: Connection, remembered: Mapping[Place, Remembered]) -> None:
    places = sorted(remembered)
    topics, partitions = [place.topic for place in places], [place.partition for place in places]
    some = [remembered[place] for place in places]
    firsts, nexts = [each.first_offset for each in some], [each.next_offset for each in some]
    await connection.execute(_REMEMBER, topics, partitions, firsts, nexts, [each.ids for each in some])
    await connection.execute(_FORGET, topics, partitions, [each.needed_from for each in some])


async def _sums(connection: Connection, batch: Batch) -> None:
    keys = sorted(batch.sums)
    if not keys:
        return
    sums = [batch.sums[key] for key in keys]
    await connection.execute(
        _ADD_SOURCES,
        [key.tenant for key in keys],
        [key.source for key in keys],
        [each.events for each in sums],
        [each.first_at for each in sums],
        [each.last_at for each in sums],
        [each.last_occurred_at for each in sums],
    )
    counted = sorted(batch.received)
    columns = _columns([key for key, _ in counted])
    await connection.execute(
        _ADD_RECEIVED, *columns, [quarter for _, quarter in counted], [batch.received[each] for each in counted]
    )


async def _streams(connection: Connection, streams: Mapping[StreamKey, Sequence[Number]]) -> None:
    keys = sorted(streams)
    if not keys:
        return
    columns = [texts(column) for column in zip(*keys, strict=True)]
    await connection.execute(_BEGIN_STREAMS, *columns)
    rows = await connection.fetch(_LOCK_STREAMS, *columns)
    changed: list[tuple[StreamKey, Seen, int]] = []
    for row in rows:
        key = StreamKey(row["tenant"], row["source"], row["conversation"])
        seen = None
        if row["highest"] >= 0:
            gaps = tuple(_gaps(row["gaps"]))
            seen = Seen(row["lowest"], row["highest"], gaps, row["untold"], row["told_from"])
        at = row["last_at"]
        for number in streams[key]:
            seen, at = see(seen, number.number, number.at, number.first), max(at, number.at)
        assert seen is not None  # a stream in a batch has a number
        changed.append((key, seen, at))
    await connection.execute(
        _PUT_STREAMS,
        [key.tenant for key, _, _ in changed],
        [key.source for key, _, _ in changed],
        [key.conversation for key, _, _ in changed],
        [seen.lowest for _, seen, _ in changed],
        [seen.highest for _, seen, _ in changed],
        [seen.missing for _, seen, _ in changed],
        [as_json(seen.gaps) for _, seen, _ in changed],
        [seen.untold for _, seen, _ in changed],
        [seen.told_from for _, seen, _ in changed],
        [at for _, _, at in changed],
    )


async def _stated(connection: Connection, stated: Mapping[Counted, Sequence[Span]]) -> None:
    """Spans as they were told; of a meter, the span since its reading before, unless it began anew."""
    if not stated:
        return
    rows = await connection.fetch(_METERS, *_columns(sorted(stated)))
    meters = {Counted(r["tenant"], r["source"], r["type"], r["queue"]): (r["until"], r["total"]) for r in rows}
    read: set[Counted] = set()
    spans: dict[tuple[Counted, int, int], int] = {}
    for key, some in stated.items():
        for span in some:
            if span.since is not None:
                spans[key, span.since, span.until] = span.events
                continue
            before = meters.get(key)
            if before is not None and span.until <= before[0]:
                continue
            if before is not None and span.events >= before[1]:
                spans[key, before[0], span.until] = span.events - before[1]
            meters[key] = (span.until, span.events)
            read.add(key)
    if read:
        keys = sorted(read)
        times, totals = zip(*(meters[key] for key in keys), strict=True)
        await connection.execute(_PUT_METERS, *_columns(keys), times, totals)
    if spans:
        told = sorted(spans)
        columns = _columns([key for key, _, _ in told])
        begins, ends = [since for _, since, _ in told], [until for _, _, until in told]
        await connection.execute(_PUT_STATED, *columns, begins, ends, [spans[each] for each in told])


def _columns(keys: Sequence[Counted]) -> list[list[str]]:
    return [[key[index] for key in keys] for index in range(4)]
