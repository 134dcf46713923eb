"""How far Faust's consumer runs ahead of a stage: a few batches, so that what comes meanwhile arrives together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from faust.types import StreamT

from runtime.batches import AHEAD, FETCH_WAIT_MS, RAW, BatchConsumerThread, create_app
from tests.runtime.kafka_rig import Rig, numbered, rig_on, until

pytestmark = pytest.mark.kafka
RECORDS = 40


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}}) as made:
        yield made


async def test_what_comes_while_a_stage_works_arrives_in_few_batches(rig: Rig) -> None:
    app = create_app(rig.name("ahead"), rig.settings)
    topic = app.topic(rig.name("in"), key_serializer="raw", value_serializer=RAW, partitions=2)
    batches: list[list[int]] = []
    go_on = asyncio.Event()

    async def run(stream: StreamT) -> None:
        async for event in stream.noack().events():
            batches.append([record.offset for record in event.message.value])
            await go_on.wait()
            app.batches.taken(event.message.generation_id)

    app.agent(topic, name="listen", concurrency=1)(run)
    app.finalize()
    await app.start()
    try:
        for number in range(RECORDS):  # one by one: each is fetched for itself by a consumer that does not wait
            await rig.write("in", numbered([str(number)]))
            await until(_happened(batches))
        go_on.set()
        await until(_happened(batches, RECORDS))
        thread = app.batches._thread
        assert isinstance(thread, BatchConsumerThread)
        assert thread._ensure_consumer()._fetcher._fetch_max_wait_ms == FETCH_WAIT_MS
    finally:
        go_on.set()
        await app.stop()
    assert [offset for batch in batches for offset in batch] == list(range(RECORDS))
    assert len(batches) <= 2 * AHEAD + 3


async def test_what_faust_drops_in_the_middle_of_a_generation_comes_again(rig: Rig) -> None:
    app = create_app(rig.name("again"), rig.settings)
    topic = app.topic(rig.name("in"), key_serializer="raw", value_serializer=RAW, partitions=2)
    batches: list[list[int]] = []
    go_on = asyncio.Event()

    async def run(stream: StreamT) -> None:
        async for event in stream.noack().events():
            batches.append([record.offset for record in event.message.value])
            await go_on.wait()
            app.batches.taken(event.message.generation_id)

    async def far_ahead() -> bool:
        return len(app.batches._handed) > AHEAD

    app.agent(topic, name="listen", concurrency=1)(run)
    app.finalize()
    await app.start()
    try:
        for number in range(RECORDS):
            await rig.write("in", numbered([str(number)]))
            await until(_happened(batches))
        await until(far_ahead)
        generation = app.consumer_generation_id
        app.flow_control.resume()  # as at the end of a rebalance that was overtaken by another
        go_on.set()
        await until(_has(batches, set(range(RECORDS))))
        assert app.consumer_generation_id == generation
    finally:
        go_on.set()
        await app.stop()


async def test_a_topic_that_a_broker_does_not_know_at_first_is_read_soon(kafka: str, topic_prefix: str) -> None:
    async with rig_on(kafka, topic_prefix, {}) as rig:
        app = create_app(rig.name("late"), rig.settings)
        topic = app.topic(rig.name("in"), key_serializer="raw", value_serializer=RAW, partitions=2)
        batches: list[list[int]] = []

        async def run(stream: StreamT) -> None:
            async for event in stream.noack().events():
                batches.append([record.offset for record in event.message.value])
                app.batches.taken(event.message.generation_id)

        async def joined() -> bool:
            return bool(app.consumer_generation_id) and app._assignment == set()

        app.agent(topic, name="listen", concurrency=1)(run)
        app.finalize()
        await app.start()
        try:
            await until(joined)
            await rig.make("in")
            await rig.write("in", numbered(["0"]))
            await until(_has(batches, {0}))
        finally:
            await app.stop()


def _has(batches: list[list[int]], offsets: set[int]) -> Callable[[], Awaitable[bool]]:
    async def all_there() -> bool:
        return {offset for batch in batches for offset in batch} == offsets

    return all_there


def _happened(batches: list[list[int]], count: int = 1) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return sum(map(len, batches)) >= count

    return enough
