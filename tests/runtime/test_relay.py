"""A stage without state: its position is the committed offset, and only what is durable moves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from runtime.appending import Item
from runtime.relay import Relay
from tests.runtime.kafka_rig import Rig, numbered, rig_on, values

pytestmark = pytest.mark.kafka


class Spread:
    """Sends each record to a partition by the length of its value, and all of a batch's first one to both."""

    def __init__(self, out: str) -> None:
        self.asked: list[list[int]] = []
        self._out = out

    async def relay(self, partition: int, records: Sequence[ConsumerRecord]) -> dict[tuple[str, int], list[Item]]:
        self.asked.append([record.offset for record in records])
        found: dict[tuple[str, int], list[Item]] = {}
        for record in records:
            for to in (0, 1) if record.value == b"both" else (len(record.value or b"") % 2,):
                found.setdefault((self._out, to), []).append(Item(record.key, record.value))
        return found


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}, "out": {}}) as made:
        yield made


class Bench:
    """A relay driven by hand."""

    def __init__(self, rig: Rig) -> None:
        self.spread = Spread(rig.name("out"))
        self.relay = Relay("relay", rig.settings, rig.name("in"), self.spread)
        self.tp = TP(rig.name("in"), 0)
        self.sought: list[int] = []
        self.relay.app.consumer_generation_id = 1
        self.relay.app.batches.__dict__["seek"] = self._seek
        self._rig = rig

    async def _seek(self, tp: TP, offset: int) -> None:
        self.sought.append(offset)

    async def take(self, begin: int = 0, generation: int = 1) -> None:
        records = (await self._rig.read("in"))[begin:]
        await self.relay.process(self.tp, generation, records)

    def completed(self) -> int | None:
        return self.relay.app.batches._new_offset(self.tp)


@asynccontextmanager
async def bench_on(rig: Rig) -> AsyncIterator[Bench]:
    bench = Bench(rig)
    try:
        yield bench
    finally:
        await bench.relay.close()


async def commit(rig: Rig, offset: int) -> None:
    """Move the group's offset, as another worker of it did before."""
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.kafka, group_id=rig.name("hub-relay"), enable_auto_commit=False)
    await consumer.start()
    try:
        part = TopicPartition(rig.name("in"), 0)
        consumer.assign([part])
        await consumer.commit({part: offset})
    finally:
        await consumer.stop()


async def test_a_batch_goes_to_several_partitions_in_order_and_then_moves_the_offset(rig: Rig) -> None:
    await rig.write("in", numbered(["a", "bb", "both", "c", "dd"]))
    async with bench_on(rig) as bench:
        await bench.take()
        assert bench.completed() == 5
    assert values(await rig.read("out", 0)) == ["bb", "both", "dd"]
    assert values(await rig.read("out", 1)) == ["a", "both", "c"]


async def test_it_begins_at_the_committed_offset_and_fetches_again_what_came_too_late(rig: Rig) -> None:
    await rig.write("in", numbered("abcdef"))
    await commit(rig, 2)
    async with bench_on(rig) as bench:
        await bench.take(4)
        assert (bench.sought, bench.spread.asked, bench.completed()) == ([2], [], None)
        await bench.take(0)
        assert bench.spread.asked == [[2, 3, 4, 5]]


async def test_without_a_committed_offset_it_begins_at_the_first_record_there_is(rig: Rig) -> None:
    await rig.write("in", numbered("abcd"))
    await rig.delete_before("in", 3)
    async with bench_on(rig) as bench:
        await bench.relay.look_after({0, 1}, 1)
        assert bench.relay.positions() == {0: 3, 1: 0}


async def test_a_generation_that_is_over_sends_nothing_and_the_next_one_asks_kafka_again(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    async with bench_on(rig) as bench:
        await bench.take()
        bench.relay.app.consumer_generation_id = 2
        await bench.take(generation=1)
        assert bench.completed() is None, "what was completed a generation ago is not this one's to commit"
        await bench.take(generation=2)
        assert bench.spread.asked == [[0, 1, 2], [0, 1, 2]], (
            "nobody committed it: sent again, and dropped by its reader"
        )
        await bench.relay.look_after({1}, 2)
        assert bench.relay.positions() == {1: 0}


async def test_what_could_not_be_sent_does_not_move_the_offset(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:

        async def fail(*_: object) -> None:
            raise OSError("no broker")

        monkeypatch.setattr("runtime.relay.append", fail)
        with pytest.raises(OSError, match="no broker"):
            await bench.take()
        assert bench.completed() is None


async def test_a_coordinator_that_is_still_loading_is_asked_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.write("in", numbered("abcd"))
    await commit(rig, 2)
    real, answers = AIOKafkaAdminClient.list_consumer_group_offsets, [KafkaConnectionError(), {}]

    async def loading(self: AIOKafkaAdminClient, *args: object, **options: object) -> object:
        if not answers:
            return await real(self, *args, **options)
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", loading)
    async with bench_on(rig) as bench:
        await bench.take()
        assert bench.spread.asked == [[2, 3]]
    assert answers == []
