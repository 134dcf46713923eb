"""Topics of one test alone, what stands on them, and a stage without rules of its own: it counts records per key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from hub.verify.evidence import committed, read_topic
from runtime.appending import Item, append, new_producer
from runtime.changelog import Restored
from runtime.settings import Settings
from runtime.stage import ORDINAL, SOURCE, SOURCE_OFFSET, Stage

COMPACT = {"cleanup.policy": "compact"}


class Rig:
    """``name`` makes a topic's full name. The producer is one of the hub's own."""

    def __init__(self, kafka: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.producer = producer

    @property
    def settings(self) -> Settings:
        return Settings(kafka=self.kafka, topic_prefix=self.prefix, session_timeout=6.0, partitions=2, tick=0.02)

    def name(self, topic: str) -> str:
        return self.prefix + topic

    async def write(self, topic: str, items: Iterable[Item], partition: int = 0) -> None:
        """Append to a topic."""
        await append(self.producer, self.name(topic), partition, items)

    async def make(self, topic: str) -> None:
        """Create one more topic."""
        async with _admin(self.kafka) as admin:
            await admin.create_topics([NewTopic(self.name(topic), 2, 1)])

    async def read(self, topic: str, partition: int = 0) -> list[ConsumerRecord]:
        """All of a partition."""
        return (await read_topic(self.kafka, self.name(topic)))[partition]

    async def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        """Where a group stands."""
        return (await committed(self.kafka, self.name(group))).get((self.name(topic), partition))

    async def delete_before(self, topic: str, offset: int, partition: int = 0) -> None:
        """What retention does."""
        async with _admin(self.kafka) as admin:
            await admin.delete_records({TopicPartition(self.name(topic), partition): RecordsToDelete(offset)})


@asynccontextmanager
async def _admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def rig_on(kafka: str, prefix: str, topics: Mapping[str, Mapping[str, str]]) -> AsyncIterator[Rig]:
    """A rig with these topics (their configuration by name), of two partitions each."""
    producer = new_producer(kafka)
    await producer.start()
    try:
        async with _admin(kafka) as admin:
            await admin.create_topics(
                [NewTopic(prefix + name, 2, 1, topic_configs=dict(config)) for name, config in topics.items()]
            )
        yield Rig(kafka, prefix, producer)
    finally:
        await producer.stop()


async def until(reached: Callable[[], Awaitable[bool]], seconds: float = 40.0) -> None:
    """Look until it is so; ``TimeoutError`` otherwise."""
    async with asyncio.timeout(seconds):
        while not await reached():
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.02))])


class HandClock:
    """A clock that goes when it is told to."""

    def __init__(self, now: int = 1_000_000_000) -> None:
        self.instant = now

    def now(self) -> int:
        return self.instant


class Counting:
    """A fold: each record raises its key's count and is announced with it. A value ``due N`` sets the next instant,
    ``now N`` tells the time, and ``boom`` can't be folded."""

    def __init__(self, out: str) -> None:
        self.counts: dict[str, int] = {}
        self.told: list[int] = []
        self.next_due: int | None = None
        self.reached = 0
        self._out = out
        self._offset = -1
        self._touched = dict[str, None]()
        self._ahead: Mapping[bytes, tuple[int, bytes | None]] = {}

    def restore(self, restored: Restored) -> None:
        self.counts = {key.decode(): int(value) for key, (_, value) in restored.values.items()}
        self._ahead = restored.ahead
        if restored.position.mark:
            self.reached, self.next_due = msgspec.msgpack.decode(restored.position.mark, type=tuple[int, int | None])

    def mark(self) -> bytes:
        return msgspec.msgpack.encode((self.reached, self.next_due))

    def step(self, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
        self._offset = record.offset
        word, _, number = (record.value or b"").decode().partition(" ")
        if word == "boom":
            raise ValueError("boom")
        if word == "now":
            self.told.append(int(number))
            self.reached = max(self.reached, int(number))
            if self.next_due is not None and self.next_due <= self.reached:
                self.next_due = None
            return []
        if word == "due":
            self.next_due = int(number)
        key = (record.key or b"").decode()
        self.counts[key] = self.counts.get(key, 0) + 1
        self._touched[key] = None
        if word == "forget":
            del self.counts[key]
            return []
        return [(self._out, Item(record.key, f"{key}={self.counts[key]}".encode()))]

    def changes(self) -> Sequence[tuple[bytes, int, bytes | None]]:
        found = [
            (key.encode(), self._offset, str(self.counts[key]).encode() if key in self.counts else None)
            for key in self._touched
        ]
        self._touched = {}
        return found

    def due(self) -> int | None:
        return self.next_due

    def size(self) -> int:
        return len(self.counts)

    def waiting(self) -> int:
        return int(self.next_due is not None)


class Bench:
    """A stage driven by hand: no Faust runs, the test says which generation it is and which batch comes."""

    def __init__(self, rig: Rig, clock: HandClock | None = None, generation: int = 1) -> None:
        self.clock = clock or HandClock()
        self.folds: list[Counting] = []
        self.sought: list[tuple[TP, int]] = []
        self.tp = TP(rig.name("in"), 0)
        self._rig = rig

        def new_fold() -> Counting:
            self.folds.append(Counting(rig.name("out")))
            return self.folds[-1]

        self.stage = Stage(
            "counting",
            rig.settings,
            self.clock,
            source=rig.name("in"),
            changelog=rig.name("state"),
            new_fold=new_fold,
            tick=lambda now: f"now {now}".encode(),
        )
        self.generation = generation
        self.stage.app.batches.__dict__["seek"] = self._seek

    async def _seek(self, tp: TP, offset: int) -> None:
        self.sought.append((tp, offset))

    @property
    def generation(self) -> int:
        return int(self.stage.app.consumer_generation_id)

    @generation.setter
    def generation(self, number: int) -> None:
        self.stage.app.consumer_generation_id = number

    @property
    def fold(self) -> Counting:
        """The fold that is held, the last one that was made."""
        return self.folds[-1]

    async def take(self, begin: int = 0, end: int | None = None, generation: int | None = None) -> None:
        """Give it the records of partition 0 from ``begin`` up to, not including, ``end``."""
        records = [
            each for each in await self._rig.read("in") if begin <= each.offset and (end is None or each.offset < end)
        ]
        await self.stage.process(self.tp, generation or self.generation, records)

    def completed(self) -> int | None:
        """The offset that may be committed."""
        return self.stage.app.batches._new_offset(self.tp)


@asynccontextmanager
async def bench_on(rig: Rig, clock: HandClock | None = None, generation: int = 1) -> AsyncIterator[Bench]:
    """A stage driven by hand, whose clients are closed at the end."""
    bench = Bench(rig, clock, generation)
    try:
        yield bench
    finally:
        await bench.stage.close()


def numbered(words: Iterable[str], key: str = "k") -> list[Item]:
    """Records with these values under one key."""
    return [Item(key.encode(), word.encode()) for word in words]


def sourced(source: str, offset: int, ordinal: int = 0, key: str = "k", word: str = "x") -> Item:
    """A record that says where it comes from."""
    headers = [(SOURCE, source.encode()), (SOURCE_OFFSET, str(offset).encode()), (ORDINAL, str(ordinal).encode())]
    return Item(key.encode(), word.encode(), headers)


def values(records: Iterable[ConsumerRecord]) -> list[str]:
    """What records say."""
    return [(record.value or b"").decode() for record in records]
