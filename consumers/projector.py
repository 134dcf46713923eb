"""Writes timeline entries, tickets and verdicts from their topics to PostgreSQL, each exactly once.

Rows and the position they came from are written in one transaction, and the position only moves from where this
projector left it: two of them can never write the same record twice, and none is passed over. Kafka's committed
offsets play no part. While PostgreSQL does not answer nothing is read, so nothing has to be kept.

A record that can't be decoded stops the projector. Only the hub's own stages write these topics, so such a record is a
bug; to go on without it would leave a hole in somebody's history that nobody sees.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import Unavailable
from projections.positions import store as positions
from projections.positions.store import Place, Step
from projections.postgres import answering, connect
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime import metrics
from schemas.codec import Codec, NotDecodable
from schemas.records import SlaVerdictIssued, TicketChanged, TimelineEntryAdded

if TYPE_CHECKING:
    from projections.postgres import Connection

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH = 1000
_STALL = 60.0  # seconds without progress while there is something to read
_LOOK = 10.0  # seconds between two looks at what there is to read
_LONGEST_PAUSE = 5.0


class Record(Protocol):
    """What is needed of aiokafka's record."""

    offset: int
    value: bytes | None


class ProjectorStopped(Exception):
    """The projector must not go on; the process is to exit, and a restart begins at the position in PostgreSQL."""


class Fenced(ProjectorStopped):
    """Another projector moved a position that this one held."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The three topics by the names they have on this Kafka."""

    entries: str = "timeline-entry-added"
    tickets: str = "ticket-changed"
    verdicts: str = "sla-verdict-issued"

    def all(self) -> tuple[str, str, str]:
        """The names, for subscribing."""
        return (self.entries, self.tickets, self.verdicts)


@dataclass(slots=True)
class Batch:
    """What one transaction writes: the records of several partitions, and where each position goes from and to."""

    entries: list[TimelineEntryAdded] = field(default_factory=list)
    tickets: list[TicketChanged] = field(default_factory=list)
    verdicts: list[SlaVerdictIssued] = field(default_factory=list)
    steps: dict[Place, Step] = field(default_factory=dict)

    def customers(self) -> set[str]:
        """Everybody of whom there is something new."""
        changed = {each.customer for each in self.entries}
        changed.update(each.customer for each in self.tickets)
        changed.update(each.customer for each in self.verdicts)
        return changed


def unread(found: Sequence[Record], next: int, *, compacted: bool) -> list[Record]:
    """The records from offset ``next`` on. Raises ``ProjectorStopped`` when that one is missing from a log that, not
    being compacted, has no gaps of its own."""
    new = [each for each in found if each.offset >= next]
    if new and new[0].offset != next and not compacted:
        raise ProjectorStopped(f"read offset {new[0].offset} where {next} is next; a restart finds out why")
    return new


async def write(connection: Connection, batch: Batch) -> None:
    """Write a batch and its positions, all or nothing. Raises ``Fenced`` when a position is not the expected one."""
    async with connection.transaction():
        lost = await positions.move(connection, batch.steps)
        if lost:
            raise Fenced(f"another projector moved {sorted(lost)}; this one must not write them")
        await timeline.add(connection, batch.entries)
        await tickets.put(connection, batch.tickets)
        await verdicts.add(connection, batch.verdicts)
        await timeline.notify(connection, batch.customers())


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc,unused-ignore]  # aiokafka is not typed
    """Notes what Kafka assigns; aiokafka swallows what is raised here, so nothing that can fail is done here."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._projector.released()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._projector.assigned(assigned)


class Projector:
    """Reads the topics as a member of a consumer group and writes what it reads. Run one or several.

    ``ready`` says whether it is joined to Kafka and PostgreSQL answers.
    """

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: Codec,
        topics: Topics,
        *,
        group: str = "projector",
        session_timeout: float = 10.0,
        batch: int = BATCH,
    ) -> None:
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._codec = codec
        self._topics = topics
        self._group = group
        self._session_ms = int(session_timeout * 1000)
        self._batch = batch
        self._writing = asyncio.Lock()
        self._unplaced: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._held: dict[TopicPartition, int] = {}
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._joined = False
        self._database = False
        self._in_doubt = False
        self._progress_at = 0.0
        self._looked_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether it is joined to Kafka, has found its positions, and PostgreSQL answers."""
        return self._joined and self._database and not self._unplaced

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Kafka gave these partitions; their positions are looked up before anything of them is read."""
        self._next.clear()
        self._held.clear()
        self._unplaced = set(partitions)
        self._joined = True

    async def released(self) -> None:
        """Kafka takes the partitions back: wait a little for what is being written, then forget them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._session_ms / 1000):
                async with self._writing:
                    pass
        self._next.clear()
        self._held.clear()
        self._unplaced.clear()

    async def run(self) -> None:
        """Project until cancelled. Raises ``ProjectorStopped`` when only a restart can help."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            client_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # only for what is fetched before the seek, and dropped by its offset
            max_poll_interval_ms=3_600_000,  # a database that is down for long is no reason to leave the group
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=max(self._session_ms // 3, 100),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=50,  # while it waits on quiet topics, aiokafka fetches nothing else from that broker
        )
        consumer.subscribe(list(self._topics.all()), listener=_Assignments(self))
        try:
            await self._start(consumer)
            self._progress_at = _monotonic()
            while True:
                await self._once(consumer)
        finally:
            self._joined = False
            await consumer.stop()
            self._disconnect()

    async def _start(self, consumer: AIOKafkaConsumer) -> None:
        pause = 0.2
        while True:
            try:
                await consumer.start()
                return
            except KafkaError as error:
                log.warning("kafka does not answer; trying again", error=str(error), seconds=round(pause, 1))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(self, consumer: AIOKafkaConsumer) -> None:
        if self._unplaced:
            await self._place(consumer)
        readable = list(self._next)
        if not readable:
            await asyncio.sleep(0.05)
            return
        fetched = await consumer.getmany(*readable, timeout_ms=200, max_records=self._batch)
        async with self._writing:
            batch = self._decode(fetched)
            if batch.steps:
                await self._write(batch)
        if batch.steps:
            self._progress_at = _monotonic()
            self._lag(consumer, batch.steps)
        elif _monotonic() - self._looked_at >= _LOOK:
            await self._watch(consumer)

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """Look up where each new partition stands in PostgreSQL, and seek there."""
        wanted = frozenset(self._unplaced)
        held = await self._patiently(lambda c: positions.take(c, [Place(tp.topic, tp.partition) for tp in wanted]))
        try:
            begin = await consumer.beginning_offsets(list(wanted))
            end = await consumer.end_offsets(list(wanted))
            if not wanted <= self._unplaced:
                return
            for tp in wanted:
                at = held[Place(tp.topic, tp.partition)]
                if at > end[tp]:
                    raise ProjectorStopped(
                        f"{tp.topic}/{tp.partition} ends at {end[tp]}, but {at} was read already: the topic is not the "
                        "one these tables were made from; rebuild the tables, or point the hub at the right Kafka"
                    )
                if at < begin[tp] and at > 0 and tp.topic != self._topics.tickets:
                    log.error(
                        "records were removed by retention before they were read; rebuild the tables to have them",
                        topic=tp.topic, partition=tp.partition, records=begin[tp] - at,
                    )  # fmt: skip
                start = max(at, begin[tp])
                consumer.seek(tp, start)
                self._held[tp], self._next[tp] = at, start
        except KafkaError as error:
            log.warning("kafka does not answer; trying again", error=str(error))
            await asyncio.sleep(0.5)
            return
        except ValueError as error:  # a seek on a partition that was revoked meanwhile
            log.info("the assignment changed while positions were looked up", error=str(error))
            return
        self._unplaced -= wanted

    def _decode(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> Batch:
        """The records that are new, by the positions alone; whatever was fetched before a seek is dropped here."""
        batch = Batch()
        for tp, found in fetched.items():
            at = self._next.get(tp)
            new = [] if at is None else unread(found, at, compacted=tp.topic == self._topics.tickets)
            if not new:
                continue
            for each in new:
                self._sort_in(batch, tp, each)
            batch.steps[Place(tp.topic, tp.partition)] = Step(self._held[tp], new[-1].offset + 1)
        return batch

    def _sort_in(self, batch: Batch, tp: TopicPartition, found: Record) -> None:
        where = f"{tp.topic}/{tp.partition} at offset {found.offset}"
        try:
            record = self._codec.decode(found.value or b"")
        except NotDecodable as error:
            raise ProjectorStopped(
                f"{where} can't be decoded ({error}); no stage of this version writes that"
            ) from error
        if tp.topic == self._topics.entries and isinstance(record, TimelineEntryAdded):
            batch.entries.append(record)
        elif tp.topic == self._topics.tickets and isinstance(record, TicketChanged):
            batch.tickets.append(record)
        elif tp.topic == self._topics.verdicts and isinstance(record, SlaVerdictIssued):
            batch.verdicts.append(record)
        else:
            raise ProjectorStopped(f"{where} is a {type(record).__name__}, which does not belong on this topic")

    async def _write(self, batch: Batch) -> None:
        with metrics.projector_seconds.time():
            await self._patiently(lambda connection: self._write_once(connection, batch))
        counts = (len(batch.entries), len(batch.tickets), len(batch.verdicts))
        for topic, count in zip(self._topics.all(), counts, strict=True):
            metrics.entries_projected.labels(topic).inc(count)
        for place, step in batch.steps.items():
            tp = TopicPartition(place.topic, place.partition)
            if self._held.get(tp) == step.expected:
                self._held[tp] = self._next[tp] = step.next

    async def _write_once(self, connection: Connection, batch: Batch) -> None:
        """Write, unless an attempt whose answer was lost with the connection turns out to have been committed."""
        if self._in_doubt:
            held = await positions.take(connection, batch.steps)
            if all(held[place] == step.next for place, step in batch.steps.items()):
                return
        self._in_doubt = True
        await write(connection, batch)
        self._in_doubt = False

    async def _patiently(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do ``work`` on the connection, again on a new one as often as PostgreSQL goes away."""
        pause = 0.1
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self._dsn)
                with answering("projecting"):
                    result = await work(self._connection)
                self._database = True
                return result
            except (Unavailable, asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                self._database = False
                log.warning("postgres does not answer; trying again", error=str(error), seconds=round(pause, 1))
                self._disconnect()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _lag(self, consumer: AIOKafkaConsumer, places: Collection[Place]) -> None:
        for place in places:
            tp = TopicPartition(place.topic, place.partition)
            end = consumer.highwater(tp)
            if tp in self._next and end is not None:
                behind = max(end - self._next[tp], 0)
                metrics.stage_lag.labels("projector", f"{place.topic}/{place.partition}").set(behind)

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """aiokafka may stop fetching for good after a broker's restart: then what there is to read stays unread."""
        self._looked_at = _monotonic()
        try:
            async with asyncio.timeout(_LOOK):
                end = await consumer.end_offsets(list(self._next))
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka does not answer", error=str(error))
            self._progress_at = _monotonic()
            return
        behind = {tp for tp, at in self._next.items() if at < end.get(tp, 0)}
        if not behind:
            self._progress_at = _monotonic()
        elif _monotonic() - self._progress_at > _STALL:
            raise ProjectorStopped(f"nothing was read for {_STALL:.0f} s although {sorted(behind)} have records")
