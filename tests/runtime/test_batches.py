"""Faust with batches, on a real Kafka: what an agent receives, and what moves a committed offset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from faust.types import TP, EventT, StreamT

from runtime.batches import BATCH, RAW, BatchApp, create_app
from runtime.settings import Settings
from tests.runtime.kafka_rig import Rig, numbered, rig_on, until

pytestmark = pytest.mark.kafka
GROUP = "batches"


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}}) as made:
        yield made


class Listener:
    """An app whose one agent keeps what it gets. ``held``: the agent waits there before each batch is done."""

    def __init__(self, rig: Rig) -> None:
        self.app: BatchApp = create_app(rig.name(GROUP), rig.settings)
        self.got: list[tuple[TP, int, list[int]]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        topic = self.app.topic(rig.name("in"), key_serializer="raw", value_serializer=RAW, partitions=2)

        async def run(stream: StreamT) -> None:
            async for event in stream.noack().events():
                self._note(event)
                await self.go_on.wait()
                self.app.batches.taken(event.message.generation_id)

        self.app.agent(topic, name="listen", concurrency=1)(run)

    def _note(self, event: EventT) -> None:
        message = event.message
        offsets = [record.offset for record in message.value]
        assert message.offset == offsets[-1]
        self.got.append((message.tp, message.generation_id, offsets))

    def offsets(self, partition: int = 0) -> list[int]:
        """Every offset of a partition, in the order in which it came."""
        return [offset for tp, _, offsets in self.got if tp.partition == partition for offset in offsets]

    async def has(self, count: int, partition: int = 0) -> None:
        async def enough() -> bool:
            return len(self.offsets(partition)) >= count

        await until(enough)


@asynccontextmanager
async def listening(rig: Rig) -> AsyncIterator[Listener]:
    listener = Listener(rig)
    listener.app.finalize()
    await listener.app.start()
    try:
        yield listener
    finally:
        listener.go_on.set()
        await listener.app.stop()


async def test_an_agent_gets_up_to_a_batch_of_one_partition_at_a_time_without_a_hole(rig: Rig) -> None:
    await rig.write("in", numbered(map(str, range(BATCH + 700))))
    await rig.write("in", numbered(map(str, range(30))), partition=1)
    async with listening(rig) as listener:
        await listener.has(BATCH + 700)
        await listener.has(30, 1)
    assert listener.offsets() == list(range(BATCH + 700))
    assert listener.offsets(1) == list(range(30))
    assert max(len(offsets) for _, _, offsets in listener.got) == BATCH
    assert {generation for _, generation, _ in listener.got} == {listener.app.consumer_generation_id}
    assert not any(listener.app.batches._gap.values()), "to Faust the offsets between two batches are no gap"


async def test_only_complete_moves_the_committed_offset_and_only_in_its_generation(rig: Rig) -> None:
    await rig.write("in", numbered(map(str, range(100))))
    tp = TP(rig.name("in"), 0)
    async with listening(rig) as listener:
        await listener.has(100)
        consumer, generation = listener.app.batches, listener.app.consumer_generation_id
        await consumer.commit()
        assert await rig.committed(GROUP, "in") is None, "that an agent took it is no reason"
        consumer.complete(tp, generation - 1, 40)
        await consumer.commit()
        assert await rig.committed(GROUP, "in") is None
        consumer.complete(tp, generation, 60)
        await consumer.commit()
        assert await rig.committed(GROUP, "in") == 60
    async with listening(rig) as listener:
        await listener.has(40)
    assert listener.offsets() == list(range(60, 100)), "the record at the committed offset is the first one"


async def test_after_a_seek_the_record_sought_is_the_first_one(rig: Rig) -> None:
    await rig.write("in", numbered(map(str, range(50))))
    async with listening(rig) as listener:
        await listener.has(50)
        await listener.app.batches.seek(TP(rig.name("in"), 0), 7)
        await listener.has(93)
    assert listener.offsets() == [*range(50), *range(7, 50)]


async def test_a_batch_that_waits_while_partitions_are_dealt_anew_is_not_lost(rig: Rig) -> None:
    await rig.write("in", numbered(map(str, range(1500))))
    async with listening(rig) as one:
        await one.has(1)
        one.go_on.clear()
        async with listening(rig) as other:

            async def shared() -> bool:
                return bool(one.app.consumer.assignment()) and bool(other.app.consumer.assignment())

            await until(shared)
            one.go_on.set()

            async def all_there() -> bool:
                generation = other.app.consumer_generation_id
                both = [*one.got, *other.got]
                fresh = [n for tp, of, offsets in both if of == generation and tp.partition == 0 for n in offsets]
                return fresh == list(range(1500))

            await until(all_there)


def test_a_heartbeat_fits_several_times_into_any_session() -> None:
    for seconds in (1.0, 6.0, 10.0, 45.0, 300.0):
        conf = create_app("beats", Settings(session_timeout=seconds)).conf
        assert conf.broker_heartbeat_interval * 3 < conf.broker_session_timeout <= conf.broker_request_timeout
