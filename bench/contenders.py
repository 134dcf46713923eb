"""The contenders of the hub's own environment, each run in a process of its own: ``python -m bench.contenders JOB``.

A contender reads the job's log from its beginning, measures itself from the first record it is given until the last of
the job's events is done and acknowledged, prints its ``Run`` as JSON, and ends. All write with ``acks=all`` and without
compression.
"""

from __future__ import annotations

import asyncio
import zoneinfo
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Self

import faust
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP, StreamT

from bench import toy
from bench.job import Job, done, job_given
from bench.measuring import Stopwatch
from bench.peers.line_up import CASEWORK, HUB, INTERPRETED, PLAIN, STOCK
from hub.wiring import run_stage
from runtime import logging
from runtime.appending import Item, append, new_producer
from runtime.batches import BATCH
from runtime.changelog import Restored
from runtime.settings import Settings
from runtime.stage import Fold, Stage
from schemas.codec import Codec
from schemas.records import TimeAdvanced
from streams.casework import CaseworkFold, CaseworkTopics

# --- stock Faust


async def stock_faust(job: Job) -> None:
    """An agent, a table and ``send``, as Faust's documentation shows them: what is in the table is written as JSON.

    Linger is 10 ms, so that its sends share requests: with none it is slower.
    """
    app = faust.App(
        f"{job.prefix}stock",
        broker=f"kafka://{job.kafka}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=job.partitions,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=2000,
        producer_linger=0.01,
    )
    source = app.topic(job.source, key_serializer="raw", value_serializer="raw", partitions=job.partitions)
    entries = app.topic(f"{job.prefix}entries", key_serializer="raw", value_serializer="raw", partitions=job.partitions)
    table = app.Table("customers", partitions=job.partitions, key_type=str)
    watch, half = Stopwatch(), job.events // 2

    async def run(stream: StreamT) -> None:
        count = 0
        async for event in stream.events():
            watch.start()
            received = toy.read(event.message.value)
            customer = received["customer"]
            held = table.get(customer)
            state = toy.Customer() if held is None else msgspec.convert(held, toy.Customer)
            entry = toy.fold(state, received)
            if entry is not None:
                table[customer] = msgspec.to_builtins(state)
                await entries.send(key=customer.encode(), value=toy.write(entry))
            count += 1
            if count == half:
                watch.lap(count)
            if count == job.events:
                await app.producer.flush()
                done(watch.stop(job.name, count))

    app.agent(source, name="run")(run)
    app.finalize()
    await app.start()
    await app.wait_until_stopped()


# --- the hub's engine


class ToyFold:
    """The toy fold as the hub's stages run one. Satisfies ``runtime.stage.Fold``."""

    def __init__(self, entries: str) -> None:
        self._entries = entries
        self._customers: dict[str, toy.Customer] = {}
        self._touched: dict[str, int] = {}

    def restore(self, restored: Restored) -> None:
        """Take the state over from the changelog."""
        for key, (_, value) in restored.values.items():
            self._customers[key.decode()] = toy.state_of(value)

    def mark(self) -> bytes:
        """Nothing is held for a partition as a whole."""
        return b""

    def step(self, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
        """Fold one record."""
        event = toy.read(record.value)
        customer = event["customer"]
        state = self._customers.get(customer)
        if state is None:
            state = self._customers[customer] = toy.Customer()
        entry = toy.fold(state, event)
        if entry is None:
            return ()
        self._touched[customer] = record.offset
        return ((self._entries, Item(customer.encode(), toy.write(entry))),)

    def changes(self) -> Sequence[tuple[bytes, int, bytes | None]]:
        """The customers touched since the last call."""
        touched, self._touched = self._touched, {}
        return [(name.encode(), at, toy.state_bytes(self._customers[name])) for name, at in touched.items()]

    def due(self) -> int | None:
        """Time alone changes nothing here."""
        return None

    def size(self) -> int:
        """How many customers are held."""
        return len(self._customers)

    def waiting(self) -> int:
        """No clock runs here."""
        return 0


class TimedStage(Stage):
    """A stage that measures from when all partitions are restored to the end that its log had when it began."""

    _ends: Mapping[int, int]
    _begun: int | None = None

    async def until_end(self, job: Job) -> Self:
        """Note where the log ends now."""
        partitions = [TopicPartition(self.source, number) for number in range(self.settings.partitions)]
        async with AIOKafkaConsumer(bootstrap_servers=self.settings.kafka) as consumer:
            found = await consumer.end_offsets(partitions)
        self._ends = {tp.partition: end for tp, end in found.items()}
        self._job, self._stopwatch = job, Stopwatch()
        return self

    async def process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> None:
        """As a stage does, with a look at the watch."""
        if self._begun is None:
            # look_after restores them, and each may be one batch. A stage has no event for that.
            while len(at := self.positions()) < len(self._ends):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            self._begun = sum(at.values())
            self._stopwatch.start()
        await super().process(tp, generation, records)
        at, whole = self.positions(), sum(self._ends.values())
        through = round(self._job.events * (sum(at.values()) - self._begun) / whole)
        if 2 * through >= self._job.events:
            self._stopwatch.lap(through)
        if all(at.get(partition, 0) >= end for partition, end in self._ends.items()):
            done(self._stopwatch.stop(self._job.name, through))


class EndOfLog:
    """A clock that stands where the log ends, so that nothing comes due that the log has no tick for."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        """The instant in microseconds since 1970, UTC."""
        return self._now


def _stage(job: Job, name: str, new_fold: Callable[[], Fold], tick: Callable[[int], bytes] | None) -> TimedStage:
    settings = Settings(kafka=job.kafka, topic_prefix=job.prefix, partitions=job.partitions)
    changelog = settings.topic("changelog")
    return TimedStage(name, settings, EndOfLog(job.now), job.source, changelog, new_fold, tick)


async def hub_engine(job: Job) -> None:
    """``runtime.stage.Stage`` with the toy fold."""
    stage = _stage(job, "toy", lambda: ToyFold(f"{job.prefix}entries"), None)
    await run_stage(await stage.until_end(job))


async def casework(job: Job) -> None:
    """The product's own stage with its own fold: every rule, three outputs, changelog, dead letters."""
    codec = Codec()
    names = ("entries", "tickets", "verdicts", "dlq", "changelog")
    topics = CaseworkTopics(job.source, *(job.prefix + name for name in names))
    stage = _stage(job, "casework", lambda: CaseworkFold(codec, topics), lambda now: codec.encode(TimeAdvanced(now)))
    await run_stage(await stage.until_end(job))


# --- the limit


async def plain_aiokafka(job: Job) -> None:
    """A loop around aiokafka that does the same work and promises nothing: no group, no position, no restore."""
    partitions = [TopicPartition(job.source, number) for number in range(job.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=job.kafka, enable_auto_commit=False, max_partition_fetch_bytes=4 * 1024 * 1024
    )
    producer = new_producer(job.kafka)
    await consumer.start()
    await producer.start()
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    folds = {tp.partition: ToyFold(f"{job.prefix}entries") for tp in partitions}
    watch, count = Stopwatch(), 0
    while count < job.events:
        for tp, records in (await consumer.getmany(timeout_ms=500, max_records=2 * BATCH)).items():
            watch.start()
            here = folds[tp.partition]
            for begin in range(0, len(records), 500):
                batch = records[begin : begin + 500]
                outputs = [item for record in batch for _, item in here.step(record)]
                changes = [Item(key, value) for key, _, value in here.changes()]
                await asyncio.gather(
                    append(producer, f"{job.prefix}entries", tp.partition, outputs),
                    append(producer, f"{job.prefix}changelog", tp.partition, changes),
                )
            count += len(records)
            if 2 * count >= job.events:
                watch.lap(count)
    done(watch.stop(job.name, count))


CONTENDERS: dict[str, Callable[[Job], Awaitable[None]]] = {
    STOCK: stock_faust,
    HUB: hub_engine,
    PLAIN: plain_aiokafka,
    CASEWORK: casework,
    INTERPRETED: casework,
}


async def _run(job: Job) -> None:
    await CONTENDERS[job.name](job)


if __name__ == "__main__":
    zoneinfo.reset_tzpath(())  # as the command `hub` does
    logging.configure("warning", "bench")
    asyncio.run(_run(job_given()))
