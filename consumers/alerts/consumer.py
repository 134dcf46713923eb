"""Reads verdicts from their topic into the inbox, and runs a deliverer for each receiver.

The position stands in PostgreSQL, in the transaction that writes the inbox; Kafka's committed offsets play no part. A
record that can't be decoded is counted, logged with its place and passed over: silence about all later breaches would
be worse. While PostgreSQL does not answer nothing is read, and everything goes on once it does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from consumers.alerts.deliver import Deliverer
from consumers.alerts.inbox import AlertsStopped, put
from consumers.alerts.receiver import Receiver
from domain.alerts import Reading
from domain.errors import Unavailable
from projections.alerts import store
from projections.alerts.store import Move
from projections.postgres import answering, open_pool
from runtime import metrics
from runtime.clock import Clock
from schemas.codec import Codec, NotDecodable
from schemas.records import SlaVerdictIssued

if TYPE_CHECKING:
    from projections.postgres import Pool

log = structlog.get_logger(__name__)

BATCH = 1000
_STALL = 60.0  # seconds without progress while there is something to read
_LOOK = 10.0  # seconds between two looks at what there is to read
_LONGEST_PAUSE = 5.0
_TRY_AGAIN = (Unavailable, KafkaError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Record(Protocol):
    """What is needed of aiokafka's record."""

    offset: int
    value: bytes | None


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc,unused-ignore]  # aiokafka is not typed
    """Notes what Kafka assigns; aiokafka swallows what is raised here, so nothing that can fail is done here."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._alerts.released()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._alerts.assigned(assigned)


class Alerts:
    """Alerting as a member of a consumer group. Run one or several: each reads its partitions, all of them deliver.

    ``topic`` is the name on this Kafka; ``receivers`` have different names; ``clock`` is the hub's; ``jitter`` gives a
    number in [0, 1) for each wait (``random.random``). ``ready`` says whether it reads and PostgreSQL answers.
    """

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: Codec,
        topic: str,
        receivers: Sequence[Receiver],
        clock: Clock,
        *,
        jitter: Callable[[], float],
        group: str = "alerts",
        session_timeout: float = 10.0,
    ) -> None:
        names = [receiver.name for receiver in receivers]
        if len(set(names)) != len(names):
            raise ValueError(f"two receivers of alerts have one name: {sorted(names)}; name them apart")
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._codec = codec
        self._topic = topic
        self._receivers = list(receivers)
        self._clock = clock
        self._jitter = jitter
        self._group = group
        self._session_ms = int(session_timeout * 1000)
        self._unplaced: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._held: dict[TopicPartition, int] = {}
        self._writing = asyncio.Lock()
        self._joined = False
        self._progress_at = 0.0
        self._looked_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether it is joined to Kafka and has found its positions in PostgreSQL."""
        return self._joined and not self._unplaced

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Kafka gave these partitions, and no others; their positions are looked up before anything is read."""
        self._next.clear()
        self._held.clear()
        self._unplaced = set(partitions)
        self._joined = bool(partitions)

    async def released(self) -> None:
        """Kafka takes the partitions back: wait a little for what is being written, then forget them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._session_ms / 1000):
                async with self._writing:
                    pass
        self.assigned(())

    async def run(self) -> None:
        """Read and deliver until cancelled. Raises ``AlertsStopped`` when only a restart can help."""
        pause = 0.2
        try:
            while True:
                began = _monotonic()
                try:
                    await self._run()
                except BaseExceptionGroup as group:
                    other = group.split(_TRY_AGAIN)[1]
                    if other is not None:
                        raise _first(other) from group
                    pause = 0.2 if _monotonic() - began > _LOOK else min(pause * 2, _LONGEST_PAUSE)
                    log.warning("a server does not answer; trying again", error=str(_first(group)), seconds=pause)
                await asyncio.sleep(pause)
        finally:
            for receiver in self._receivers:
                await receiver.close()

    async def _run(self) -> None:
        """One life: until something is gone that the whole needs. All that matters is in PostgreSQL."""
        pool = await open_pool(self._dsn, most=2 + 2 * len(self._receivers))
        try:
            deliverers = [Deliverer(each, pool, self._clock, self._jitter) for each in self._receivers]
            async with asyncio.TaskGroup() as group:
                for deliverer in deliverers:
                    group.create_task(deliverer.run())
                group.create_task(self._read(pool, deliverers))
        finally:
            pool.terminate()

    async def _read(self, pool: Pool, deliverers: Sequence[Deliverer]) -> None:
        self.assigned(())
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            client_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # only for what is fetched before the seek, and dropped by its offset
            max_poll_interval_ms=3_600_000,  # a database that is down for long is no reason to leave the group
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=max(self._session_ms // 3, 100),
            fetch_max_wait_ms=25,  # for as long one partition may wait for the others: see runtime.batches
        )
        consumer.subscribe([self._topic], listener=_Assignments(self))
        try:
            await self._start(consumer)
            self._progress_at = _monotonic()
            while True:
                if await self._once(consumer, pool):
                    for deliverer in deliverers:
                        deliverer.wake()
        finally:
            self._joined = False
            await consumer.stop()

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

    async def _once(self, consumer: AIOKafkaConsumer, pool: Pool) -> bool:
        """Read a batch into the inbox. Returns whether there is something new to deliver."""
        if self._unplaced:
            await self._place(consumer, pool)
        readable = list(self._next)
        if not readable:
            await asyncio.sleep(0.05)
            return False
        fetched = await consumer.getmany(*readable, timeout_ms=200, max_records=BATCH)
        async with self._writing:
            verdicts, moves = self._decode(fetched)
            readings = await self._fill(pool, verdicts, moves) if moves else []
        if not moves:
            if _monotonic() - self._looked_at >= _LOOK:
                await self._watch(consumer)
            return False
        self._progress_at = _monotonic()
        unknown = readings.count(Reading.UNKNOWN_OUTCOME)
        if unknown:
            log.error("verdicts with an outcome that alerts do not know were passed over", count=unknown)
        return Reading.OPENED in readings or Reading.CLOSED in readings or Reading.QUIET in readings

    async def _fill(self, pool: Pool, verdicts: list[SlaVerdictIssued], moves: dict[int, Move]) -> list[Reading]:
        names = [receiver.name for receiver in self._receivers]
        with answering("filling the inbox"):
            async with pool.acquire() as connection:
                readings = await put(connection, self._topic, moves, verdicts, names, self._clock.now())
        for partition, move in moves.items():
            tp = TopicPartition(self._topic, partition)
            if self._held.get(tp) == move.expected:
                self._held[tp] = self._next[tp] = move.next
        return readings

    async def _place(self, consumer: AIOKafkaConsumer, pool: Pool) -> None:
        """Look up where each new partition stands in PostgreSQL, and seek there."""
        wanted = frozenset(self._unplaced)
        with answering("looking up positions"):
            async with pool.acquire() as connection:
                held = await store.positions(connection, self._topic, [tp.partition for tp in wanted])
        try:
            begin = await consumer.beginning_offsets(list(wanted))
            end = await consumer.end_offsets(list(wanted))
            if not wanted <= self._unplaced:
                return
            for tp in wanted:
                at = held[tp.partition]
                if at > end[tp]:
                    raise AlertsStopped(
                        f"{tp.topic}/{tp.partition} ends at {end[tp]}, but {at} was read already: the topic is not the "
                        "one the inbox was filled from; empty alert_positions, or point the hub at the right Kafka"
                    )
                if 0 < at < begin[tp]:
                    log.error("verdicts were removed by retention before they were read",
                              partition=tp.partition, records=begin[tp] - at)  # fmt: skip
                consumer.seek(tp, max(at, begin[tp]))
                self._held[tp], self._next[tp] = at, max(at, begin[tp])
        except KafkaError as error:
            log.warning("kafka does not answer; trying again", error=str(error))
            await asyncio.sleep(0.5)
            return
        except ValueError as error:  # a seek on a partition that was revoked meanwhile
            log.info("the assignment changed while positions were looked up", error=str(error))
            return
        self._unplaced -= wanted

    def _decode(
        self, fetched: Mapping[TopicPartition, Sequence[Record]]
    ) -> tuple[list[SlaVerdictIssued], dict[int, Move]]:
        """The verdicts that are new, by the positions alone; what was fetched before a seek is dropped here."""
        verdicts, moves = list[SlaVerdictIssued](), dict[int, Move]()
        for tp, found in fetched.items():
            at = self._next.get(tp)
            new = [] if at is None else [each for each in found if each.offset >= at]
            if at is None or not new:
                continue
            if new[0].offset != at:
                raise AlertsStopped(f"{tp.topic}/{tp.partition}: read offset {new[0].offset} where {at} is next")
            for each in new:
                try:
                    record = self._codec.decode(each.value or b"")
                except NotDecodable as error:
                    self._passed_over(tp, each.offset, error.reason, str(error))
                    continue
                if isinstance(record, SlaVerdictIssued):
                    verdicts.append(record)
                else:
                    self._passed_over(tp, each.offset, "not-valid", f"a {type(record).__name__} is no verdict")
            moves[tp.partition] = Move(self._held[tp], new[-1].offset + 1)
        return verdicts, moves

    def _passed_over(self, tp: TopicPartition, offset: int, reason: str, detail: str) -> None:
        metrics.dead_letters.labels("alerts", reason).inc()
        log.error("record passed over", topic=tp.topic, partition=tp.partition, offset=offset, detail=detail)

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
            raise AlertsStopped(f"nothing was read for {_STALL:.0f} s although {sorted(behind)} have records")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
