"""Each metric of a stage moves when what it tells of happens; read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from runtime.clock import SECOND
from runtime.relay import Relay
from tests.runtime.kafka_rig import COMPACT, Bench, HandClock, Rig, bench_on, numbered, rig_on
from tests.runtime.test_relay import Spread

pytestmark = pytest.mark.kafka


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"in": {}, "out": {}, "state": COMPACT}) as made:
        yield made


def shown(name: str, **labels: str) -> float:
    """A metric's value now; 0 while nobody set it."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


WORK = (
    "hub_records_processed_total",
    "hub_batch_records_count",
    "hub_batch_records_sum",
    "hub_fold_seconds_count",
    "hub_batch_seconds_count",
)


def work(stage: str) -> list[float]:
    """What a stage shows of its batches."""
    return [shown(name, stage=stage) for name in WORK]


async def test_a_stage_shows_its_batches_its_restores_its_gaps_and_how_far_it_is_behind(rig: Rig) -> None:
    await rig.write("in", numbered("abcdef"))
    async with bench_on(rig) as bench:
        before, restored = work("counting"), shown("hub_restore_seconds_count", stage="counting")
        gaps = shown("hub_gaps_refused_total", stage="counting")
        await bench.take(0, 4)
        assert [now - then for now, then in zip(work("counting"), before, strict=True)] == [4, 1, 4, 1, 1]
        assert shown("hub_restore_seconds_count", stage="counting") == restored + 1
        await bench.stage._watch_progress()
        assert shown("hub_stage_lag", stage="counting", partition="0") == 2
        assert shown("hub_state_keys", stage="counting", partition="0") == 1
        await bench.take(5)
        assert shown("hub_gaps_refused_total", stage="counting") == gaps + 1
        await bench.take(4)
        await bench.stage._watch_progress()
        assert shown("hub_stage_lag", stage="counting", partition="0") == 0


async def test_a_relay_shows_its_batches_too(rig: Rig) -> None:
    await rig.write("in", numbered("abc"))
    relay = Relay("relay", rig.settings, rig.name("in"), Spread(rig.name("out")))
    relay.app.consumer_generation_id = 1
    before = work("relay")
    try:
        await relay.process(Bench(rig).tp, 1, await rig.read("in"))
    finally:
        await relay.close()
    assert [now - then for now, then in zip(work("relay"), before, strict=True)] == [3, 1, 3, 1, 1]


async def test_the_dead_mans_switch_goes_with_the_clock_and_stands_still_at_what_is_due_and_not_judged(
    rig: Rig,
) -> None:
    def judged() -> float:
        return shown("hub_clocks_judged_timestamp_seconds", partition="0")

    clock = HandClock(1000 * SECOND)
    late = shown("hub_tick_delay_seconds_count"), shown("hub_tick_delay_seconds_sum")
    await rig.write("in", numbered([f"due {2000 * SECOND}"]))
    async with bench_on(rig, clock) as bench:
        await bench.take()
        await bench.stage.look_after({0}, 1)
        assert judged() == 1000
        bench.stage.positions()
        assert shown("hub_clocks_open", partition="0") == 1
        clock.instant = 2003 * SECOND
        await bench.stage.look_after({0}, 1)
        assert (shown("hub_tick_delay_seconds_count"), shown("hub_tick_delay_seconds_sum")) == (
            late[0] + 1,
            late[1] + 3,
        )
        clock.instant = 2060 * SECOND  # the tick is on the log, and nobody reads it
        await bench.stage.look_after({0}, 1)
        assert judged() == 2000
        await bench.take(1)
        await bench.stage.look_after({0}, 1)
        assert judged() == 2060
        bench.stage.positions()
        assert shown("hub_clocks_open", partition="0") == 0


async def test_a_partition_that_was_taken_away_is_no_longer_shown(rig: Rig) -> None:
    """Else its last lag would be told of for ever, and nobody would see that it has no owner."""
    names = ("hub_stage_lag", "hub_state_keys")
    await rig.write("in", numbered("ab"))
    async with bench_on(rig) as bench:
        await bench.take(0, 1)
        await bench.stage.look_after({0}, 1)
        await bench.stage._watch_progress()
        there = [REGISTRY.get_sample_value(name, {"stage": "counting", "partition": "0"}) for name in names]
        assert there == [1, 1]
        bench.generation = 2
        await bench.stage.look_after({1}, 2)
        await bench.stage._watch_progress()
        there = [REGISTRY.get_sample_value(name, {"stage": "counting", "partition": "0"}) for name in names]
        assert there == [None, None]
        for name in ("hub_clocks_judged_timestamp_seconds", "hub_clocks_open"):
            assert REGISTRY.get_sample_value(name, {"partition": "0"}) is None
