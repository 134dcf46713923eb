"""A worker as it runs: Faust deals out partitions and delivers, the stage folds, and whatever is doubtful ends it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import runtime.worker
from runtime.stage import Stage
from runtime.worker import STALLED
from tests.runtime.kafka_rig import COMPACT, Bench, HandClock, Rig, bench_on, numbered, rig_on, until, values

pytestmark = pytest.mark.kafka


class Ended(BaseException):
    """The process would be gone; the reason is said."""


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}, "out": {}, "state": COMPACT}) as made:
        yield made


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why the process would have ended; it is pytest's own, so it must not."""
    reasons: list[str] = []

    def note(reason: str) -> None:
        reasons.append(reason)
        raise Ended(reason)

    monkeypatch.setattr(runtime.worker, "fail_stop", note)
    return reasons


@asynccontextmanager
async def running(rig: Rig, clock: HandClock | None = None) -> AsyncIterator[Stage]:
    """A counting stage under Faust."""
    stage = Bench(rig, clock).stage
    stage.app.batches.__dict__.pop("seek")
    stage.app.finalize()
    await stage.app.start()
    try:
        yield stage
    finally:
        await stage.app.stop()
        await stage.close()


async def announced(rig: Rig, counts: Sequence[int]) -> None:
    """Wait until each partition has so many announcements."""

    async def there() -> bool:
        return all([len(await rig.read("out", number)) >= count for number, count in enumerate(counts)])

    await until(there)


async def test_everything_is_folded_once_across_a_restart_and_offsets_follow(rig: Rig, ended: list[str]) -> None:
    await rig.write("in", numbered(map(str, range(1200))))
    await rig.write("in", numbered(map(str, range(300)), "other"), partition=1)
    async with running(rig):
        await announced(rig, [1200, 300])
    assert await rig.committed("hub-counting", "in") == 1200, "a worker that is asked to stop commits"
    await rig.write("in", numbered(["more"]))
    async with running(rig):
        await announced(rig, [1201, 300])
    assert values(await rig.read("out")) == [f"k={number}" for number in range(1, 1202)]
    assert ended == []


async def test_partitions_are_dealt_out_and_taken_over(rig: Rig, ended: list[str]) -> None:
    async with running(rig) as first:
        async with running(rig) as second:

            async def dealt() -> bool:
                return [len(first.positions()), len(second.positions())] == [1, 1]

            await until(dealt)
            for number in (0, 1):
                await rig.write("in", numbered(map(str, range(700))), partition=number)
            await announced(rig, [700, 700])
        await rig.write("in", numbered(["x"]), partition=0)
        await rig.write("in", numbered(["x"]), partition=1)
        await announced(rig, [701, 701])
    for number in (0, 1):
        assert set(values(await rig.read("out", number))) == {f"k={count}" for count in range(1, 702)}
    assert ended == []


async def test_a_committed_offset_beyond_the_state_leaves_nothing_out(rig: Rig, ended: list[str]) -> None:
    await rig.write("in", numbered(map(str, range(100))))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=rig.kafka, group_id=rig.name("hub-counting"), enable_auto_commit=False
    )
    await consumer.start()
    part = TopicPartition(rig.name("in"), 0)
    consumer.assign([part])
    await consumer.commit({part: 60})
    await consumer.stop()
    async with running(rig):
        await announced(rig, [100])
    assert values(await rig.read("out")) == [f"k={number}" for number in range(1, 101)]
    assert ended == []


async def test_clocks_run_without_traffic_on_a_partition_that_was_only_restored(rig: Rig, ended: list[str]) -> None:
    clock = HandClock(1000)
    await rig.write("in", numbered(["due 2000"]), partition=1)
    async with running(rig, clock):
        await announced(rig, [0, 1])
    clock.instant = 2001
    async with running(rig, clock):

        async def told() -> bool:
            return "now 2001" in values(await rig.read("in", 1))

        await until(told)

        async def folded() -> bool:
            return await rig.committed("hub-counting", "in", 1) == 2

        await until(folded)
    assert Counter(values(await rig.read("in", 1))) == {"due 2000": 1, "now 2001": 1}
    assert ended == []


async def test_what_fails_while_a_batch_is_worked_on_ends_the_process(rig: Rig, ended: list[str]) -> None:
    await rig.write("in", numbered(["a", "boom"]))
    async with bench_on(rig) as bench:
        message = SimpleNamespace(tp=bench.tp, generation_id=1, value=await rig.read("in"))
        with pytest.raises(Ended):
            await bench.stage._guarded(SimpleNamespace(message=message))
        assert bench.completed() is None
    assert "ValueError('boom')" in ended[0]
    assert await rig.read("state") == []


async def test_what_fails_while_partitions_are_looked_after_ends_the_process(
    rig: Rig, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench_on(rig) as bench:

        async def broken() -> None:
            raise OSError("no answer")

        with pytest.raises(Ended):
            await bench.stage._again_and_again(0.01, broken)
    assert "no answer" in ended[0]


def stand_still(bench: Bench) -> None:
    """As if nothing had moved for longer than is bearable."""
    bench.stage._moved[0] = time.monotonic() - STALLED - 1


async def test_records_that_wait_and_never_come_end_the_process(rig: Rig, ended: list[str]) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        await bench.stage._watch_progress()
        stand_still(bench)
        with pytest.raises(Ended):
            await bench.stage._watch_progress()
        await bench.take(1)
        stand_still(bench)
        await bench.stage._watch_progress()


async def test_the_time_in_which_kafka_did_not_answer_is_not_counted(
    rig: Rig, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        stand_still(bench)
        monkeypatch.setattr("runtime.worker.ANSWER_SECONDS", 0.0)  # so that any answer took too long
        await bench.stage._watch_progress()
    assert ended == []


async def test_a_marker_of_a_transaction_at_the_end_is_no_record_that_waits(rig: Rig, ended: list[str]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=rig.kafka, transactional_id=rig.name("writer"))
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send(rig.name("in"), b"a", key=b"k", partition=0)
    finally:
        await producer.stop()
    async with bench_on(rig) as bench:
        await bench.take()
        stand_still(bench)
        await bench.stage._watch_progress()
    assert ended == []
