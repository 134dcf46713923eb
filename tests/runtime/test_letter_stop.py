"""A stage that would write too many dead letters writes none of the batch, stands still, and ends; nothing is lost.

The counting stage's announcements are taken for dead letters here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

import runtime.worker
from runtime.letter_limit import LetterLimit, TooManyDeadLetters
from runtime.relay import Relay
from tests.runtime.kafka_rig import COMPACT, Bench, HandClock, Rig, bench_on, numbered, rig_on, until, values
from tests.runtime.test_relay import Spread

pytestmark = pytest.mark.kafka


class Ended(BaseException):
    """The process would be gone."""


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}, "out": {}, "state": COMPACT}) as made:
        yield made


def limited(bench: Bench, rig: Rig, most: int) -> Bench:
    """The bench's stage with a limit."""
    bench.stage.letters = LetterLimit("counting", rig.name("out"), most)
    return bench


async def test_a_stage_writes_nothing_of_the_batch_and_its_successor_does_it_all_in_order(rig: Rig) -> None:
    await rig.write("in", numbered("abcdefgh"))
    async with bench_on(rig) as made:
        bench = limited(made, rig, 4)
        await bench.take(0, 3)
        with pytest.raises(TooManyDeadLetters):
            await bench.take(3)
        assert bench.completed() == 3
    written = await rig.read("state")
    async with bench_on(rig) as made:
        with pytest.raises(TooManyDeadLetters):
            await limited(made, rig, 4).take(3)
    assert values(await rig.read("out")) == ["k=1", "k=2", "k=3"]
    assert await rig.read("state") == written, "neither state nor position moved"
    async with bench_on(rig) as made:
        bench = limited(made, rig, 400)
        await bench.take(3)
        assert (bench.completed(), bench.fold.counts) == (8, {"k": 8})
    assert values(await rig.read("out")) == [f"k={number}" for number in range(1, 9)]


async def test_a_relay_writes_nothing_of_the_batch_either(rig: Rig) -> None:
    await rig.write("in", numbered(["aa", "bb", "cc", "dd", "ee"]))
    relay = Relay(
        "relay", rig.settings, rig.name("in"), Spread(rig.name("out")), LetterLimit("relay", rig.name("out"), 4)
    )
    relay.app.consumer_generation_id = 1
    tp = Bench(rig).tp
    records = await rig.read("in")
    try:
        await relay.process(tp, 1, records[:3])
        with pytest.raises(TooManyDeadLetters):
            await relay.process(tp, 1, records[3:])
        assert relay.positions() == {0: 3}
        assert values(await rig.read("out")) == ["aa", "bb", "cc"]
        relay.letters = LetterLimit("relay", rig.name("out"), 400)
        await relay.process(tp, 1, records[3:])
    finally:
        await relay.close()
    assert values(await rig.read("out")) == ["aa", "bb", "cc", "dd", "ee"]


async def test_the_process_stands_still_so_that_its_metric_is_seen_and_then_ends_with_the_reason(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []

    def note(reason: str) -> None:
        reasons.append(reason)
        raise Ended(reason)

    monkeypatch.setattr(runtime.worker, "fail_stop", note)
    monkeypatch.setattr(runtime.worker, "HOLD_SECONDS", 0.5)
    clock = HandClock(1000)
    await rig.write("in", numbered(["due 2000", "b", "c"]))
    async with bench_on(rig, clock) as made:
        bench = limited(made, rig, 2)
        await bench.take(0, 1)
        message = SimpleNamespace(tp=bench.tp, generation_id=1, value=(await rig.read("in"))[1:])
        stopping = asyncio.create_task(bench.stage._guarded(SimpleNamespace(message=message)))

        async def seen() -> bool:
            labels = {"stage": "counting", "reason": ""}
            return REGISTRY.get_sample_value("hub_dead_letters_waiting", labels) == 3

        await until(seen)
        assert not stopping.done()
        looked: list[int] = []

        async def look() -> None:
            looked.append(1)

        clock.instant = 3000
        looking = asyncio.create_task(bench.stage._again_and_again(0.01, look))
        with pytest.raises(Ended):
            await stopping
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert looked == [], "nobody judges clocks by a state that is ahead of what is durable, and none is said to be"
        assert bench.completed() == 1
    (reason,) = reasons
    assert "3 of the last 3 records would be dead letters" in reason
    assert values(await rig.read("out")) == ["k=1"]
