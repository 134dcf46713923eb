"""The read models: one projector that writes what casework says of a log of stories to PostgreSQL as it comes, and the
same topics read again into new tables by COPY, as ``hub rebuild`` does it.

The three topics are filled before with what the product's own fold makes of ``casework_log``, so that entries, versions
of tickets and verdicts come in the mixture and order in which they come in use.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence

import msgspec
from aiokafka.structs import ConsumerRecord

from bench.casework_log import Entry, Log
from bench.filling import fill
from bench.measuring import Run, Stopwatch
from bench.part import Part, Say, Table, Target, at_least
from bench.progress import watched
from bench.running import Hub, prepared, running
from bench.servers import Servers
from hub.rebuild.tables import Tables
from hub.verify.log import open_log
from hub.wiring import casework_topics, collect_seldom
from projections.postgres import connect
from projections.rebuilding import store as rebuilding
from projections.sql import load
from runtime.appending import Item
from schemas.codec import Codec
from streams.casework import CaseworkFold, CaseworkTopics

_POSITIONS = load(__file__, "positions_so_far")
_ENTRIES = load(__file__, "entries_so_far")
KINDS = ("entries", "tickets", "verdicts")


class Sizes(msgspec.Struct, frozen=True):
    """``events``: of the log, each of which is one entry; ``customers``: whose they are."""

    events: int = 240_000
    customers: int = 60_000


class Projected(msgspec.Struct, frozen=True):
    """``run``: records after the first batch, with the CPU time of the projector's process alone; ``records``: how many
    there were of each kind. ``rebuilt``: the same records by COPY, without the folding that a whole rebuild does;
    ``indexing``: seconds for the indexes after it, which the rate leaves out.
    """

    records: dict[str, int]
    run: Run
    rebuilt: Run
    indexing: float
    restarts: int


class ProjectorResult(msgspec.Struct, frozen=True):
    """``entries``: timeline entries alone. ``all``: each with the ticket and the verdicts that came of its event."""

    sizes: Sizes
    entries: Projected
    all: Projected


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> ProjectorResult:
    """Fill the topics, and run the projector until all is in the tables: the entries, and once more all there is."""
    entries = await _projected(on, f"{prefix}entries-", sizes, ("entries",), say)
    return ProjectorResult(sizes, entries, await _projected(on, prefix, sizes, KINDS, say))


async def _projected(on: Servers, prefix: str, sizes: Sizes, kinds: Sequence[str], say: Say) -> Projected:
    async with prepared(on, prefix, f"{prefix}projector".replace("-", "_")) as hub:
        say(f"making what casework says of {sizes.events:,} events: {', '.join(kinds)}")
        records = await filled(hub, sizes.events, sizes.customers, kinds)
        total = sum(records.values())

        async def count() -> int:
            return int(await hub.reading.fetchval(_POSITIONS))

        async with running(hub, ("projector",), on.folder / "projector-logs"):
            run = await watched("projector", count, total, lambda: hub.cpu_seconds().get("projector", 0.0))
            entries = int(await hub.reading.fetchval(_ENTRIES))
            if entries != records["entries"]:
                raise RuntimeError(f"{entries} of {records['entries']} entries are in the table")
        say(f"{run.per_second:,.0f} records/s; the same by COPY")
        rebuilt, indexing = await _rebuild(hub, total)
        return Projected(records, run, rebuilt, round(indexing, 2), hub.restarts)


async def _rebuild(hub: Hub, total: int) -> tuple[Run, float]:
    """Read the topics into new tables beside the projector's, and give those their indexes."""
    settings, watch, thresholds = hub.settings, Stopwatch(), gc.get_threshold()
    collect_seldom()  # as hub rebuild does
    connection = await connect(settings.postgres, command_timeout=None)
    try:
        await rebuilding.begin(connection)
        tables = Tables(connection, Codec(), casework_topics(settings))
        async with open_log(settings.kafka) as log:
            watch.start()
            for partition in range(settings.partitions):
                await tables.read(log, partition)
            run = watch.stop("rebuilding", total)
        began = time.perf_counter()
        await rebuilding.finish(connection)
        return run, time.perf_counter() - began
    finally:
        await connection.close()
        gc.set_threshold(*thresholds)


async def filled(hub: Hub, events: int, customers: int, kinds: Sequence[str] = KINDS) -> dict[str, int]:
    """Put the outputs of casework for a log of stories on the hub's topics; how many records of each kind."""
    topics, partitions = casework_topics(hub.settings), hub.settings.partitions
    outputs: dict[str, list[tuple[int, Item]]] = {topics.entries: [], topics.tickets: [], topics.verdicts: []}
    for topic, partition, item in _outputs(topics, Log(events, customers, partitions), partitions):
        outputs[topic].append((partition, item))
    wanted = {kind: outputs[topic] for kind, topic in zip(KINDS, outputs, strict=True) if kind in kinds}
    for kind, items in wanted.items():
        await fill(hub.settings.kafka, getattr(topics, kind), partitions, items)
    return {kind: len(items) for kind, items in wanted.items()}


def _outputs(topics: CaseworkTopics, log: Log, partitions: int) -> Iterator[tuple[str, int, Item]]:
    codec = Codec()
    folds = [CaseworkFold(codec, topics) for _ in range(partitions)]
    for number, entry in enumerate(log):
        for topic, item in folds[entry.partition].step(_record(entry, topics.identified, number)):
            yield topic, entry.partition, item


def _record(entry: Entry, topic: str, offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic=topic, partition=entry.partition, offset=offset, timestamp=0, timestamp_type=0,
        key=entry.key, value=entry.value, checksum=None, serialized_key_size=-1, serialized_value_size=len(entry.value),
        headers=tuple(entry.headers),
    )  # fmt: skip


def _tables(found: ProjectorResult) -> list[Table]:
    rows = [
        (f"{what}, {how}", f"{run.events:,}", f"{run.per_second:,.0f}", f"{run.per_cpu_second:,.0f}")
        for what, one in (("entries", found.entries), ("all", found.all))
        for how, run in (("live", one.run), ("rebuilding (COPY)", one.rebuilt))
    ]
    kinds = ", ".join(f"{count:,} {name}" for name, count in found.all.records.items())
    told = f"All: {kinds}. Indexes of the new tables: {found.all.indexing:.1f} s. Restarts: {found.all.restarts}."
    return [Table(("projector", "records", "per second", "per CPU-second"), rows, [told])]


def _targets(found: ProjectorResult) -> list[Target]:
    return [
        at_least("projector, live, timeline entries per second", found.entries.run.per_second, 20_000),
        at_least("the same rebuilding (COPY)", found.entries.rebuilt.per_second, 40_000),
        at_least("projector, live, with tickets and verdicts, records per second", found.all.run.per_second, 20_000),
        at_least("the same rebuilding (COPY)", found.all.rebuilt.per_second, 40_000),
    ]


PART = Part("projector", Sizes(), measure, _tables, _targets)
