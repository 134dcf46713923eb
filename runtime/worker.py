"""What every stage's worker process has: the Faust app, the clients, the watchdog, and the certainty that it moves.

A subclass says what to do with a batch. Whatever fails while a batch is worked on ends the process (``fail_stop``).
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP, EventT, StreamT

from runtime import metrics
from runtime.appending import new_producer
from runtime.batches import RAW, BatchApp, create_app
from runtime.failstop import Watchdog, fail_stop
from runtime.letter_limit import LetterLimit, TooManyDeadLetters
from runtime.settings import Settings

STALLED = 45.0
PROBE_EVERY = 5.0
ANSWER_SECONDS = 5.0
#: How long a stage that stops for its dead letters stays up, so that its metric is seen, and so that it writes no more
#: than the limit within a minute, however fast it is started anew.
HOLD_SECONDS = 60.0
log = structlog.get_logger()


class Worker(ABC):
    """One process of one stage; ``source`` is the topic it reads, ``letters`` the limit of its dead letters."""

    def __init__(self, name: str, settings: Settings, source: str, letters: LetterLimit | None = None) -> None:
        self.name = name
        self.settings = settings
        self.source = source
        self.letters = letters or LetterLimit(name)
        self._holding = False
        self._shown = set[int]()
        self._producer: AIOKafkaProducer | None = None
        self._probe: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self._moved: dict[int, float] = {}
        self._watchdog = Watchdog(settings.session_timeout / 2)
        self.group = f"{settings.topic_prefix}hub-{name}"
        self.app = self._create_app()

    @abstractmethod
    async def process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> None:
        """Work on one batch of one partition; on return everything that follows from it is durable."""

    @abstractmethod
    async def look_after(self, partitions: set[int], generation: int) -> None:
        """Called every tick with the partitions that are assigned."""

    async def watch(self) -> None:
        """Called every few seconds; raises when this process should rather not go on."""
        return

    @abstractmethod
    def positions(self) -> dict[int, int]:
        """The next offset of every partition held."""

    async def from_position(self, tp: TP, position: int, records: Sequence[ConsumerRecord]) -> Sequence[ConsumerRecord]:
        """The records of a batch from ``position`` on; none when the batch begins after it and is to be fetched again.

        Whatever the committed offset says, nothing can be left out: a batch that begins too late is dropped and the
        consumer sent back, unless the log has really nothing between (expired records, markers of transactions).
        """
        if records[0].offset > position and await self._first_from(tp, position) != records[0].offset:
            metrics.gaps_refused.labels(self.name).inc()
            log.warning("gap", stage=self.name, partition=tp.partition, got=records[0].offset, next=position)
            await self.app.consumer.seek(tp, position)
            return []
        return [record for record in records if record.offset >= position]

    async def _first_from(self, tp: TopicPartition, position: int, seconds: float = 5.0) -> int | None:
        """The offset of the first record at or after ``position``; None if none came within ``seconds``."""
        partition = TopicPartition(tp.topic, tp.partition)
        # A consumer of its own: aiokafka 0.14.0 can hang in stop() when its assignment was taken away just before.
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, enable_auto_commit=False)
        await consumer.start()
        try:
            beginning = (await consumer.beginning_offsets([partition]))[partition]
            consumer.assign([partition])
            consumer.seek(partition, max(position, beginning))
            found = await consumer.getmany(partition, timeout_ms=round(seconds * 1000), max_records=1)
        finally:
            await consumer.stop()
        return next((record.offset for batch in found.values() for record in batch), None)

    async def clients(self) -> tuple[AIOKafkaProducer, AIOKafkaConsumer]:
        """The producer, and a consumer without a group to ask for offsets; connected on first use."""
        async with self._connecting:
            if self._producer is None or self._probe is None:
                producer = new_producer(self.settings.kafka)
                await producer.start()
                probe = AIOKafkaConsumer(
                    bootstrap_servers=self.settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
                )
                await probe.start()
                self._producer, self._probe = producer, probe
            return self._producer, self._probe

    async def close(self) -> None:
        """Let go of the clients, after the app has stopped."""
        for client in (self._probe, self._producer):
            if client is not None:
                await client.stop()

    def moved(self, partition: int) -> None:
        """A partition's position moved, or it was just taken over."""
        self._moved[partition] = time.monotonic()

    def _create_app(self) -> BatchApp:
        app = create_app(self.group, self.settings)
        topic = app.topic(self.source, key_serializer="raw", value_serializer=RAW, partitions=self.settings.partitions)

        async def run(stream: StreamT) -> None:
            async for event in stream.noack().events():
                await self._guarded(event)

        app.agent(topic, name=self.name, concurrency=1)(run)
        app.task(self._beat)
        app.task(self._look_after_partitions)
        app.task(self._watch)
        return app

    async def _beat(self) -> None:
        self._watchdog.start()
        try:
            while not self.app.should_stop:
                self._watchdog.beat()
                await asyncio.sleep(0.2)
        finally:
            self._watchdog.stop()

    async def _guarded(self, event: EventT) -> None:
        message = event.message
        try:
            await self.process(message.tp, message.generation_id, message.value)
            self.app.batches.taken(message.generation_id)
        except TooManyDeadLetters as error:
            await self._hold(error)
            fail_stop(f"{self.name} {message.tp}: {error}")
        except BaseException as error:  # whatever it is, the state in memory can no longer be trusted
            fail_stop(f"{self.name} {message.tp}: {error!r}")

    async def _hold(self, error: TooManyDeadLetters) -> None:
        """Stand still, members of the group, until whoever watches has seen why."""
        self._holding = True
        for reason, count in error.reasons.items():
            metrics.dead_letters_waiting.labels(self.name, reason).set(count)
        log.error("too many dead letters", stage=self.name, reason=str(error), exit_in=HOLD_SECONDS)
        await asyncio.sleep(HOLD_SECONDS)

    async def _look_after_partitions(self) -> None:
        async def look() -> None:
            generation = self.app.consumer_generation_id
            assigned = {tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.source}
            await self.look_after(assigned, generation)

        await self._again_and_again(self.settings.tick, look)

    async def _watch(self) -> None:
        async def look() -> None:
            await self.watch()
            await self._watch_progress()

        await self._again_and_again(PROBE_EVERY, look)

    async def _again_and_again(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(seconds)
            if self._holding:  # what is in memory is ahead of what was written, and nobody judges clocks
                continue
            try:
                await work()
            except BaseException as error:  # as in _guarded: a restore or a tick that failed half-way
                if self.app.should_stop:
                    return
                fail_stop(f"{self.name}, looking after partitions: {error!r}")

    async def _watch_progress(self) -> None:
        """aiokafka can hang after a broker's restart (its issues 712, 847, 1154): records wait and none comes."""
        positions = self.positions()
        for partition in self._shown - positions.keys():
            metrics.forget(metrics.stage_lag, self.name, str(partition))
        self._shown = set(positions)
        if not positions:
            return
        _, probe = await self.clients()
        asked = time.monotonic()
        ends = await probe.end_offsets([TopicPartition(self.source, partition) for partition in positions])
        if time.monotonic() - asked > ANSWER_SECONDS:  # Kafka was away: nothing could come, and nobody hangs for it
            for partition in positions:
                self.moved(partition)
        for tp, end in ends.items():
            position = positions[tp.partition]
            metrics.stage_lag.labels(self.name, str(tp.partition)).set(end - position)
            if end <= position:
                self.moved(tp.partition)
            elif time.monotonic() - self._moved.get(tp.partition, time.monotonic()) > STALLED:
                if await self._first_from(tp, position, seconds=1.0) is not None:
                    fail_stop(
                        f"{self.name} {tp}: {end - position} offsets wait, and none was taken for {STALLED:.0f} s"
                    )
                self.moved(tp.partition)  # markers of transactions, which are no records
