"""A stage on a real Kafka: whatever happens between two steps, nothing is lost, doubled or different."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

import runtime.stage
from runtime.appending import ForeignWrite, Item, append
from runtime.changelog import POSITION, Restored, entry, restore
from runtime.clock import SECOND
from runtime.stage import HOLD_TICKS
from tests.runtime.kafka_rig import (
    COMPACT,
    Counting,
    HandClock,
    Rig,
    bench_on,
    numbered,
    rig_on,
    sourced,
    until,
    values,
)

pytestmark = pytest.mark.kafka


class PowerCut(BaseException):
    """The process is gone."""


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}, "out": {}, "state": COMPACT}) as made:
        yield made


def cut_before(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    """The power goes just before something is appended to ``topic``."""

    async def cut(
        producer: AIOKafkaProducer, to: str, partition: int, items: Iterable[Item], expected: int | None = None
    ) -> int | None:
        if to == topic:
            raise PowerCut
        return await append(producer, to, partition, items, expected)

    monkeypatch.setattr(runtime.stage, "append", cut)


async def test_a_batch_is_folded_announced_and_written_down_and_another_process_goes_on_from_there(rig: Rig) -> None:
    await rig.write("in", [*numbered("abc", "one"), *numbered("ab", "two"), *numbered(["forget"], "two")])
    async with bench_on(rig) as bench:
        await bench.take(0, 4)
        assert bench.completed() == 4
        await bench.take(4)
        assert bench.completed() == 6
    async with bench_on(rig) as bench:
        await rig.write("in", numbered("d", "one"))
        await bench.take(6)
        assert bench.fold.counts == {"one": 4}
    assert values(await rig.read("out")) == ["one=1", "one=2", "one=3", "two=1", "two=2", "one=4"]
    held = await restore(rig.kafka, rig.name("state"), 0)
    assert (held.position.next, held.values, held.ahead) == (7, {b"one": (6, b"4")}, {})


async def test_a_batch_that_takes_long_becomes_durable_in_pieces(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.stage, "FOLDING", -1.0)  # every record takes too long
    await rig.write("in", numbered("abcd"))
    async with bench_on(rig) as bench:
        await bench.take(0, 3)
        assert bench.completed() == 3
    async with bench_on(rig) as bench:
        await bench.take(1)  # its first two were folded
        assert (bench.completed(), bench.fold.counts) == (4, {"k": 4})
    assert values(await rig.read("out")) == ["k=1", "k=2", "k=3", "k=4"]
    written = [record.key for record in await rig.read("state")]
    assert written == [b"k", POSITION] * 4


async def test_whoever_takes_a_state_over_commits_where_it_stands_though_nothing_new_comes(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    async with bench_on(rig) as bench:
        await bench.take(0, 3)
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        assert bench.completed() == 3


async def test_what_was_announced_but_not_written_down_is_announced_again_and_equal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.write("in", numbered("abcd"))
    async with bench_on(rig) as bench:
        await bench.take(0, 2)
        cut_before(monkeypatch, rig.name("state"))
        with pytest.raises(PowerCut):
            await bench.take(2)
        assert bench.completed() == 2
    monkeypatch.undo()
    async with bench_on(rig) as bench:
        await bench.take(1)  # Kafka's committed offset may be anything; the batch begins too early here
        assert bench.fold.counts == {"k": 4}
    assert values(await rig.read("out")) == ["k=1", "k=2", "k=3", "k=4", "k=3", "k=4"]


async def test_nothing_is_written_down_before_it_is_announced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:
        cut_before(monkeypatch, rig.name("out"))
        with pytest.raises(PowerCut):
            await bench.take()
    assert await rig.read("state") == []


async def test_a_second_writer_of_the_changelog_is_noticed_at_the_next_write(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    async with bench_on(rig) as one, bench_on(rig) as other:
        await one.take(0, 1)
        await other.take(1, 2)
        with pytest.raises(ForeignWrite):
            await one.take(1, 3)
    held = await restore(rig.kafka, rig.name("state"), 0)
    assert (held.position.next, held.values) == (3, {b"k": (2, b"3")})


async def test_a_second_writer_is_noticed_without_traffic_too(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    async with bench_on(rig) as bench:
        await bench.take(0, 2)
        await bench.stage.watch()
        await rig.write("state", [entry(b"k", 0, b"1")])
        with pytest.raises(ForeignWrite):
            await bench.stage.watch()


async def test_an_older_state_that_stands_after_a_newer_one_is_put_right_before_compaction_sees_it(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    async with bench_on(rig) as bench:
        await bench.take()
    await rig.write("state", [entry(b"k", 0, b"1")])  # somebody who did not know that he no longer owned it
    async with bench_on(rig) as bench:
        await bench.stage.look_after({0}, 1)
        assert bench.fold.counts == {"k": 3}
        await bench.stage.watch()
    last = [record.value for record in await rig.read("state") if record.key == b"k"][-1]
    assert last == entry(b"k", 2, b"3").value


async def test_a_batch_that_begins_too_late_is_dropped_and_fetched_again(rig: Rig) -> None:
    await rig.write("in", numbered("abcd"))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        await bench.take(2)
        assert bench.sought == [(bench.tp, 1)]
        assert bench.fold.counts == {"k": 1}
        await bench.take(1)
        assert bench.fold.counts == {"k": 4}


async def test_expired_records_and_markers_of_transactions_are_no_gap(rig: Rig, kafka: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=rig.name("writer"))
    await producer.start()
    try:
        for word in ("a", "b", "c"):
            async with producer.transaction():
                await producer.send(rig.name("in"), word.encode(), key=b"k", partition=0)
    finally:
        await producer.stop()
    assert [record.offset for record in await rig.read("in")] == [0, 2, 4]
    await rig.delete_before("in", 2)
    async with bench_on(rig) as bench:
        await bench.take(2, 3)
        await bench.take(4)
        assert (bench.fold.counts, bench.sought) == ({"k": 2}, [])


async def test_what_a_source_repeats_is_taken_once_also_after_a_restart(rig: Rig) -> None:
    await rig.write("in", [sourced("a/0", 5), sourced("a/0", 5, ordinal=1), sourced("b/0", 5), sourced("a/0", 5)])
    async with bench_on(rig) as bench:
        await bench.take()
        assert bench.fold.counts == {"k": 3}
    await rig.write("in", [sourced("a/0", 4), sourced("a/0", 5, ordinal=1), sourced("a/0", 6), *numbered("x")])
    async with bench_on(rig) as bench:
        await bench.take(4)
        assert bench.fold.counts == {"k": 5}
    held = await restore(rig.kafka, rig.name("state"), 0)
    assert held.position.sources == {"a/0": (6, 0), "b/0": (5, 0)}


async def test_a_batch_of_an_older_generation_changes_nothing(rig: Rig) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig, generation=2) as bench:
        await bench.take(generation=1)
        assert bench.folds == []
    assert await rig.read("out") == []


async def test_a_partition_that_is_dealt_anew_while_it_is_folded_is_left_to_its_new_owner(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:

        def step(self: Counting, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
            bench.generation = 2
            return original(self, record)

        original = Counting.step
        monkeypatch.setattr(Counting, "step", step)
        await bench.take()
        monkeypatch.undo()
        assert (await rig.read("out"), await rig.read("state"), bench.completed()) == ([], [], None)
        await bench.take()
        assert len(bench.folds) == 2, "the state in memory was ahead of what is durable, and is restored"
        assert bench.fold.counts == {"k": 2}


async def ticks(rig: Rig) -> list[str]:
    return [value for value in values(await rig.read("in")) if value.startswith("now")]


async def test_a_tick_is_told_when_it_is_due_and_once_until_it_has_come_round(rig: Rig) -> None:
    clock = HandClock(1000)
    async with bench_on(rig, clock) as bench:
        await rig.write("in", numbered(["due 2000"]))
        await bench.take()
        await bench.stage.look_after({0}, 1)
        assert await ticks(rig) == []
        clock.instant = 2001
        await bench.stage.look_after({0}, 1)
        await bench.stage.look_after({0}, 1)
        assert await ticks(rig) == ["now 2001"]
        await bench.take(1)
        assert (bench.fold.told, bench.fold.due()) == ([2001], None)
        await rig.write("in", numbered(["due 2002"]))
        clock.instant = 2003
        await bench.take(2)
        await bench.stage.look_after({0}, 1)
        assert await ticks(rig) == ["now 2001", "now 2003"]


@pytest.mark.parametrize(("waited", "told"), [(HOLD_TICKS - SECOND, False), (HOLD_TICKS, True)])
async def test_ticks_wait_until_the_log_is_caught_up_with_but_not_for_ever(rig: Rig, waited: int, told: bool) -> None:
    await rig.write("in", numbered(["due 2000", "a", "b"]))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
    clock = HandClock(1000)
    async with bench_on(rig, clock) as bench:
        await bench.stage.look_after({0}, 1)
        assert bench.fold.due() == 2000
        clock.instant += waited
        await bench.stage.look_after({0}, 1)
        assert bool(await ticks(rig)) is told
        await bench.take(1, 3)
        await bench.stage.look_after({0}, 1)
        assert await ticks(rig) == [f"now {clock.instant}"], "what was there when it began is folded: now it may judge"


async def test_a_partition_that_was_taken_away_is_forgotten_and_restored_when_it_comes_back(rig: Rig) -> None:
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        assert bench.stage.positions() == {0: 1}
        bench.generation = 2
        await bench.stage.look_after({1}, 2)
        assert bench.stage.positions() == {1: 0}
        bench.generation = 3
        await bench.stage.look_after({0, 1}, 3)
        assert bench.stage.positions() == {0: 1, 1: 0}


async def test_two_partitions_are_apart(rig: Rig) -> None:
    await rig.write("in", numbered("ab"), partition=0)
    await rig.write("in", numbered("a"), partition=1)
    async with bench_on(rig) as bench:
        await bench.take()
        await bench.stage.process(bench.tp._replace(partition=1), 1, await rig.read("in", 1))
    assert values(await rig.read("out", 1)) == ["k=1"]


async def test_a_large_state_is_restored_while_the_event_loop_turns(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog would end the process otherwise, again and again."""
    turns = threading.Event()

    def restore_slowly(self: Counting, restored: Restored) -> None:
        assert turns.wait(20), "the event loop stood still"

    monkeypatch.setattr(Counting, "restore", restore_slowly)
    async with bench_on(rig) as bench:
        restoring = asyncio.create_task(bench.stage.look_after({0}, 1))
        await until(lambda: _true(bench.folds))
        turns.set()
        await restoring


async def _true(what: object) -> bool:
    return bool(what)
