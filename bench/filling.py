"""Fills a topic before something is measured."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.appending import Item, append, new_producer

_AT_ONCE = 500


async def fill(bootstrap: str, topic: str, partitions: int, items: Iterable[tuple[int, Item]]) -> None:
    """Append each item to its partition, in their order, and wait until all are durable."""
    producer = new_producer(bootstrap)
    await producer.start()
    waiting: list[list[Item]] = [[] for _ in range(partitions)]
    try:
        for partition, item in items:
            waiting[partition].append(item)
            if len(waiting[partition]) == _AT_ONCE:
                await append(producer, topic, partition, waiting[partition])
                waiting[partition] = []
        for partition, rest in enumerate(waiting):
            await append(producer, topic, partition, rest)
    finally:
        await producer.stop()
