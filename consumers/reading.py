"""Reads topics as a member of a consumer group, with the position in PostgreSQL, in the transaction of what is written.

A position only moves from where this reader left it: two readers can never write the same record twice, and none is
passed over. Kafka's committed offsets play no part. While PostgreSQL does not answer nothing is read, so nothing has to
be kept. What is done with the records is the consumer's own: see ``Consumer``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import Unavailable
from projections.positions.store import Place, Step
from projections.postgres import answering, connect
from runtime import metrics

if TYPE_CHECKING:
    from projections.postgres import Connection

log = structlog.get_logger(__name__)
T = TypeVar("T")
Batch = TypeVar("Batch")

BATCH = 1000
LONGEST_PAUSE = 5.0
LOOK = 10.0  # seconds between two looks at what there is to read
_STALL = 60.0  # seconds without progress while there is something to read


class Record(Protocol):
    """What is needed of aiokafka's record. ``timestamp``: when Kafka appended it, in milliseconds since 1970."""

    offset: int
    value: bytes | None
    timestamp: int


class ReadingStopped(Exception):
    """The reader must not go on; the process is to exit, and a restart begins at the position in PostgreSQL."""


class Fenced(ReadingStopped):
    """Another reader moved a position that this one held."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Where and as what a consumer reads. ``longest_wait``: seconds that one fetch may wait for quiet topics, while
    aiokafka fetches nothing else from that broker; ``fetch_bytes``: at most so many of one partition at a time;
    ``pause``: seconds from a batch that was not full to the next, for what need not be known at once: longer batches
    cost less for each record."""

    bootstrap: str
    group: str
    session_timeout: float = 10.0
    batch: int = BATCH
    longest_wait: float = 0.05
    fetch_bytes: int = 4 * 1024 * 1024
    pause: float = 0.0


class Consumer(Protocol[Batch]):
    """What becomes of the records. ``name`` stands in logs and metrics; ``remedy`` says what to do when a topic turns
    out to be another one than was read before; ``compacted``: those of the topics that are; ``with_holes``: those in
    which offsets may be missing, as after compaction, or where somebody writes in Kafka's transactions."""

    @property
    def name(self) -> str: ...

    @property
    def remedy(self) -> str: ...

    @property
    def topics(self) -> Collection[str]: ...

    @property
    def compacted(self) -> Collection[str]: ...

    @property
    def with_holes(self) -> Collection[str]: ...

    async def positions(self, connection: Connection, places: Collection[Place]) -> Mapping[Place, int]:
        """The next offset of each place; 0 is to be recorded for one that was never read."""
        ...

    async def decode(self, new: Mapping[Place, Sequence[Record]]) -> Batch:
        """What the new records say. Called once per batch. Raises ``ReadingStopped`` for what must not be passed."""
        ...

    async def write(self, connection: Connection, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Write the batch and move the positions, all or nothing. Raises ``Fenced`` when one is not the expected one.
        Called again when an attempt failed."""
        ...

    def written(self, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """The batch is in the tables."""
        ...


def unread(found: Sequence[Record], next: int, *, with_holes: bool) -> Sequence[Record]:
    """The records from offset ``next`` on. Raises ``ReadingStopped`` when that one is missing from a log that has no
    holes of its own."""
    new = [each for each in found if each.offset >= next]
    if new and new[0].offset != next and not with_holes:
        raise ReadingStopped(f"read offset {new[0].offset} where {next} is next; a restart finds out why")
    return new


def monotonic() -> float:
    """Seconds on the clock of the event loop."""
    return asyncio.get_running_loop().time()


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc,unused-ignore]  # aiokafka is not typed
    """Notes what Kafka assigns; aiokafka swallows what is raised here, so nothing that can fail is done here."""

    def __init__(self, reading: Reading[Batch]) -> None:
        self._reading = reading

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._reading.released()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._reading.assigned(assigned)


class Reading(Generic[Batch]):
    """One consumer at work. ``ready`` says whether it is joined to Kafka and PostgreSQL answers."""

    def __init__(self, member: Membership, dsn: str, consumer: Consumer[Batch]) -> None:
        self._member = member
        self._dsn = dsn
        self._work = consumer
        self._writing = asyncio.Lock()
        self._unplaced: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._held: dict[TopicPartition, int] = {}
        self._lags: dict[TopicPartition, int] = {}
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

    @property
    def behind(self) -> int:
        """How many records of its partitions it had not read when it last looked."""
        return sum(lag for tp, lag in self._lags.items() if tp in self._next)

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Kafka gave these partitions, and no others; their positions are looked up before anything is read."""
        self._next.clear()
        self._held.clear()
        self._unplaced = set(partitions)
        self._joined = True

    async def released(self) -> None:
        """Kafka takes the partitions back: wait a little for what is being written, then forget them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._member.session_timeout):
                async with self._writing:
                    pass
        self._next.clear()
        self._held.clear()
        self._unplaced.clear()

    async def run(self) -> None:
        """Read until cancelled. Raises ``ReadingStopped`` when only a restart can help."""
        session = int(self._member.session_timeout * 1000)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._member.bootstrap,
            group_id=self._member.group,
            client_id=self._member.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # only for what is fetched before the seek, and dropped by its offset
            max_poll_interval_ms=3_600_000,  # a database that is down for long is no reason to leave the group
            session_timeout_ms=session,
            heartbeat_interval_ms=max(session // 3, 100),
            max_partition_fetch_bytes=self._member.fetch_bytes,
            fetch_max_wait_ms=int(self._member.longest_wait * 1000),
            metadata_max_age_ms=5_000,  # a broker that just started may not know the topic: see runtime.batches
        )
        consumer.subscribe(list(self._work.topics), listener=_Assignments(self))
        try:
            await self._start(consumer)
            self._progress_at = monotonic()
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
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _once(self, consumer: AIOKafkaConsumer) -> None:
        if self._unplaced:
            await self._place(consumer)
        readable = list(self._next)
        if not readable:
            await asyncio.sleep(0.05)
            return
        fetched = await consumer.getmany(*readable, timeout_ms=200, max_records=self._member.batch)
        async with self._writing:
            new = self._unread(fetched)
            steps = {place: Step(self._held[_tp(place)], found[-1].offset + 1) for place, found in new.items()}
            if steps:
                batch = await self._work.decode(new)
                await self._patiently(lambda connection: self._write(connection, batch, steps))
                self._move(steps)
        if steps:
            self._progress_at = monotonic()
            self._work.written(batch, steps)
            self._lag(consumer, steps)
            if self._member.pause and sum(map(len, new.values())) < self._member.batch:
                await asyncio.sleep(self._member.pause)
        elif monotonic() - self._looked_at >= LOOK:
            await self._watch(consumer)

    def _unread(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> dict[Place, Sequence[Record]]:
        """The records that are new, by the positions alone; whatever was fetched before a seek is dropped here."""
        new: dict[Place, Sequence[Record]] = {}
        for tp, found in fetched.items():
            at = self._next.get(tp)
            if at is not None and (some := unread(found, at, with_holes=tp.topic in self._work.with_holes)):
                new[Place(tp.topic, tp.partition)] = some
        return new

    def _move(self, steps: Mapping[Place, Step]) -> None:
        for place, step in steps.items():
            tp = _tp(place)
            if self._held.get(tp) == step.expected:
                self._held[tp] = self._next[tp] = step.next

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """Look up where each new partition stands in PostgreSQL, and seek there."""
        wanted = frozenset(self._unplaced)
        places = [Place(tp.topic, tp.partition) for tp in wanted]
        held = await self._patiently(lambda connection: self._work.positions(connection, places))
        try:
            begin = await consumer.beginning_offsets(list(wanted))
            end = await consumer.end_offsets(list(wanted))
            if not wanted <= self._unplaced:
                return
            for tp in wanted:
                at = held[Place(tp.topic, tp.partition)]
                if at > end[tp]:
                    raise ReadingStopped(
                        f"{tp.topic}/{tp.partition} ends at {end[tp]}, but {at} was read already: the topic is not the "
                        f"one that was read; {self._work.remedy}, or point the hub at the right Kafka"
                    )
                if 0 < at < begin[tp] and tp.topic not in self._work.compacted:
                    log.error(
                        f"records were removed by retention before they were read; {self._work.remedy} to have them",
                        topic=tp.topic, partition=tp.partition, records=begin[tp] - at,
                    )  # fmt: skip
                start = max(at, begin[tp])
                consumer.seek(tp, start)
                self._held[tp], self._next[tp], self._lags[tp] = at, start, end[tp] - start
        except KafkaError as error:
            log.warning("kafka does not answer; trying again", error=str(error))
            await asyncio.sleep(0.5)
            return
        except ValueError as error:  # a seek on a partition that was revoked meanwhile
            log.info("the assignment changed while positions were looked up", error=str(error))
            return
        self._unplaced -= wanted

    async def _write(self, connection: Connection, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Write, unless an attempt whose answer was lost with the connection turns out to have been committed."""
        if self._in_doubt:
            held = await self._work.positions(connection, list(steps))
            if all(held[place] == step.next for place, step in steps.items()):
                self._in_doubt = False
                return
        self._in_doubt = True
        await self._work.write(connection, batch, steps)
        self._in_doubt = False

    async def _patiently(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do ``work`` on the connection, again on a new one as often as PostgreSQL goes away."""
        pause = 0.1
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self._dsn, by_key=True)
                with answering(self._work.name):
                    result = await work(self._connection)
                self._database = True
                return result
            except (Unavailable, asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                self._database = False
                log.warning("postgres does not answer; trying again", error=str(error), seconds=round(pause, 1))
                self._disconnect()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _lag(self, consumer: AIOKafkaConsumer, places: Collection[Place]) -> None:
        for place in places:
            tp = _tp(place)
            end = consumer.highwater(tp) if tp in self._next else None
            if end is not None:
                self._lags[tp] = max(end - self._next[tp], 0)
                metrics.stage_lag.labels(self._work.name, f"{tp.topic}/{tp.partition}").set(self._lags[tp])

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """aiokafka may stop fetching for good after a broker's restart: then what there is to read stays unread."""
        self._looked_at = monotonic()
        try:
            async with asyncio.timeout(LOOK):
                end = await consumer.end_offsets(list(self._next))
                for tp in self._next:
                    if tp.topic in self._work.with_holes and await consumer.position(tp) >= end.get(tp, 0):
                        end[tp] = self._next[tp]  # what is left are marks of transactions
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka does not answer", error=str(error))
            self._progress_at = monotonic()
            return
        behind = {tp for tp, at in self._next.items() if at < end.get(tp, 0)}
        self._lags = {tp: max(end.get(tp, 0) - at, 0) for tp, at in self._next.items()}
        if not behind:
            self._progress_at = monotonic()
        elif monotonic() - self._progress_at > _STALL:
            raise ReadingStopped(f"nothing was read for {_STALL:.0f} s although {sorted(behind)} have records")


def _tp(place: Place) -> TopicPartition:
    return TopicPartition(place.topic, place.partition)
