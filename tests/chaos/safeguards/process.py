"""A worker of the hub that is driven by hand, behind a network that does what a scenario wants."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer, TopicPartition
from faust.types import TP

from runtime.batches import BATCH
from runtime.stage import Stage
from runtime.worker import Worker

if TYPE_CHECKING:
    from tests.chaos.safeguards.town import Town

PARTITIONS = 2


class PowerCut(BaseException):
    """The process is gone."""


class Network:
    """A process's producer behind a network that can be shut at a topic (what is sent waits), or broken at one."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._shut: dict[str, asyncio.Event] = {}
        self._broken: dict[str, tuple[int, BaseException]] = {}
        self._dead = False
        self.waiting = asyncio.Event()

    def shut(self, topic: str) -> None:
        """What is sent to the topic from now on waits."""
        self._shut[topic] = asyncio.Event()

    def open(self) -> None:
        """What waited goes on."""
        for each in self._shut.values():
            each.set()
        self._shut.clear()

    def break_at(self, topic: str, error: BaseException, after: int = 0) -> None:
        """``after`` batches more go through to the topic, and then one fails."""
        self._broken[topic] = (after, error)

    def narrow(self, size: int) -> None:
        """Nothing larger than ``size`` bytes goes through at once, unless it is a single record."""
        self._producer._message_accumulator._batch_size = size

    def create_batch(self) -> Any:  # Any: aiokafka is not typed
        """As the producer's."""
        return self._producer.create_batch()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        """As the producer's, when the network lets it."""
        left, error = self._broken.get(topic, (-1, None))
        if error is not None and left == 0:
            del self._broken[topic]
            raise error
        if error is not None:
            self._broken[topic] = (left - 1, error)
        if topic in self._shut:
            self.waiting.set()
            await self._shut[topic].wait()
            if self._dead:
                raise asyncio.CancelledError
        return await self._producer.send_batch(batch, topic, partition=partition)

    async def stop(self) -> None:
        """As the producer's; what waits for the network is never sent."""
        self._dead = True
        self.open()
        await self._producer.stop()


class Process:
    """A worker of one stage. ``generation``: as its consumer knows it."""

    def __init__(self, town: Town, worker: Worker, network: Network) -> None:
        self.worker = worker
        self.network = network
        self._town = town
        self._at: dict[int, int] = {}
        worker.app.batches.__dict__["seek"] = self._seek
        self.generation = 1

    @property
    def generation(self) -> int:
        """The generation of its group that it is in."""
        return int(self.worker.app.consumer_generation_id)

    @generation.setter
    def generation(self, number: int) -> None:
        self.worker.app.consumer_generation_id = number

    async def _seek(self, tp: TP, offset: int) -> None:
        self._at[tp.partition] = offset

    async def take(self, partition: int = 0, end: int | None = None, begin: int | None = None) -> None:
        """Fetch a partition from where it stands, or from ``begin``, up to the end or ``end``, and work on it."""
        if begin is not None:
            self._at[partition] = begin
        if partition not in self._at:
            places = await self._town.committed(self.worker.group)
            self._at[partition] = places.get((self.worker.source, partition), 0)
        generation = self.generation
        log = [each for each in await self._town.log(self.worker.source, partition) if end is None or each.offset < end]
        while records := [each for each in log if each.offset >= self._at[partition]][:BATCH]:
            self._at[partition] = records[-1].offset + 1
            await self.worker.process(TP(self.worker.source, partition), generation, records)

    async def commit(self) -> None:
        """Commit what it says may be committed."""
        places = [TopicPartition(self.worker.source, each) for each in self._at]
        found = {tp: self.worker.app.batches._new_offset(TP(*tp)) for tp in places}
        await self._town.commit(self.worker.group, {tp: offset for tp, offset in found.items() if offset is not None})

    async def look(self) -> None:
        """What it does again and again: it restores what it owns, tells the time, and looks for a second writer."""
        await self.worker.look_after(set(range(PARTITIONS)), self.generation)
        await self.worker.watch()

    async def rest(self) -> None:
        """Work until there is nothing left to do at this time."""
        while True:
            for partition in range(PARTITIONS):
                await self.take(partition)
            await self.look()
            if not await self._behind():
                return

    async def _behind(self) -> bool:
        held = self.worker.positions()
        return any(
            [held.get(each, 0) < len(await self._town.log(self.worker.source, each)) for each in range(PARTITIONS)]
        )


def stage_of(process: Process) -> Stage:
    """A casework process's stage."""
    assert isinstance(process.worker, Stage)
    return process.worker


async def give_up(task: asyncio.Task[None], seconds: float = 1.0) -> None:
    """Give a process a moment in which it may do what it should not, and end it."""
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
