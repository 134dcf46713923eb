"""What people read grows old while the projector can't write, and its metric says so although the projector hangs."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from runtime.clock import SECOND
from runtime.delay import Delay
from tests.projections.gateway import Gateway
from tests.projections.samples import entry
from tests.projections.test_projector import Rig, rig, running
from tests.runtime.kafka_rig import HandClock

__all__ = ["rig"]


def test_a_delay_grows_with_the_clock_until_nothing_waits() -> None:
    registry, clock = CollectorRegistry(), HandClock(100 * SECOND)
    delay = Delay(Gauge("d", "d", ["a", "b"], registry=registry), clock)

    def shown() -> float | None:
        return registry.get_sample_value("d", {"a": "x", "b": "0"})

    assert shown() is None
    delay.known("x", "0")
    assert shown() == 0
    delay.waits("x", "0", since=90 * SECOND)
    delay.known("x", "0")
    assert shown() == 10
    clock.instant += 7 * SECOND
    assert shown() == 17
    delay.nothing("x", "0")
    assert shown() == 0
    delay.waits("x", "0", since=900 * SECOND)
    assert shown() == 0, "another machine's clock may be ahead of this one's"


@pytest.mark.kafka
@pytest.mark.postgres
async def test_the_projector_shows_how_old_what_it_writes_is_while_postgres_is_away(rig: Rig, dsn: str) -> None:
    def shown() -> float | None:
        return REGISTRY.get_sample_value("hub_projector_delay_seconds", {"topic": rig.topics.entries, "partition": "0"})

    async with Gateway(dsn) as gateway, running(rig.projector(gateway.dsn)):
        await rig.send(rig.topics.entries, [entry(1)])
        await rig.has(1)

        async def written() -> bool:
            return shown() == 0

        await rig.until(written)
        gateway.down()
        await rig.send(rig.topics.entries, [entry(2)])

        async def old() -> bool:
            return (shown() or 0) > 0.5

        await rig.until(old)
        await gateway.up()
        await rig.has(2)
        await rig.until(written)
