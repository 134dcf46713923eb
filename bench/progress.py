"""How fast a process gets through what waits for it, seen from outside: by what it has written, and its CPU time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.measuring import Run

_LOOK = 0.05
_PATIENCE = 300.0  # seconds without any progress


async def watched(name: str, count: Callable[[], Awaitable[int]], until: int, cpu_seconds: Callable[[], float]) -> Run:
    """Watch ``count`` from the first time it is above zero until it is ``until``; what came in between is counted.

    ``cpu_seconds``: user and system time of the process so far. Raises ``TimeoutError`` when nothing moves for minutes.
    """
    began: tuple[int, float, float] | None = None
    before, moved = 0, time.perf_counter()
    while True:
        found, now = await count(), time.perf_counter()
        if found > before:
            before, moved = found, now
            if began is None:
                began = (found, now, cpu_seconds())
        if found >= until:
            break
        if now - moved > _PATIENCE:
            raise TimeoutError(f"{name}: {found} of {until} after {_PATIENCE:.0f} s in which nothing moved")
        await asyncio.sleep(_LOOK)
    assert began is not None
    first, at, cpu = began
    return Run(name, found - first, max(now - at, 1e-9), max(cpu_seconds() - cpu, 1e-9))


class Written:
    """How many records topics hold, by their end offsets; they must have been empty before."""

    def __init__(self, bootstrap: str, topics: Sequence[str], partitions: int) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self._places = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]

    async def __aenter__(self) -> Callable[[], Awaitable[int]]:
        await self._consumer.start()
        return self._count

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def _count(self) -> int:
        return sum((await self._consumer.end_offsets(self._places)).values())
