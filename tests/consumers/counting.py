"""Events of sources, a topic for them, and what the tables say of them afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaProducer

from consumers.sources import Sources
from domain.sequences import Numbering
from projections.sources import shown
from schemas.codec import Codec
from schemas.records import CallFacts, InteractionReceived
from tests.projections.samples import NOON, uid

CODEC = Codec()
SECOND = 1_000_000
TABLES = ("sources", "source_received", "source_stated", "source_meters", "source_streams")


def event(number: int, **changes: object) -> InteractionReceived:
    """The event of this number, of one conversation, at NOON."""
    given = dict(changes)
    queue = given.pop("queue", None)
    plain = InteractionReceived(
        id=uid("event", given.get("source", "shop/berlin"), given.get("conversation", "c"), number),
        type="call.offered",
        tenant="default",
        source="shop/berlin",
        channel="voice",
        direction="inbound",
        occurred_at=NOON,
        received_at=NOON,
        conversation="c",
        sequence=number,
        facts=CallFacts(queue=str(queue)) if queue else None,
    )
    return msgspec.structs.replace(plain, **given)


def counted(**attributes: str) -> InteractionReceived:
    """A source's own count."""
    return event(0, id=uid(*sorted(attributes.items())), type="source.counted", sequence=None, attributes=attributes)


class Rig:
    """A topic of this test alone, a producer, and a connection to look at the tables."""

    def __init__(self, kafka: str, topic: str, producer: AIOKafkaProducer, tables: asyncpg.Connection[Any]) -> None:
        self.kafka = kafka
        self.topic = topic
        self.producer = producer
        self.tables = tables

    def sources(self, dsn: str, *numberings: Numbering) -> Sources:
        return Sources(self.kafka, dsn, CODEC, self.topic, numberings, group=self.topic, session_timeout=6.0)

    async def send(self, events: Sequence[InteractionReceived | bytes], partition: int = 0) -> None:
        """Write them, as Kafka's clock stands at NOON and goes on by a second with each."""
        for index, each in enumerate(events):
            value = each if isinstance(each, bytes) else CODEC.encode(each)
            at = NOON // 1000 + 1000 * index
            await self.producer.send(self.topic, value, partition=partition, timestamp_ms=at)
        await self.producer.flush()

    async def until(self, reached: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Look until it is so; a timeout otherwise."""
        async with asyncio.timeout(60):
            while not await reached():
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.02))])

    async def read(self, records: int) -> None:
        """Wait until so many records were read."""

        async def reached() -> bool:
            return bool(await self.tables.fetchval("SELECT sum(next) >= $1 FROM source_positions", records))

        await self.until(reached)

    async def shown(self, seconds: int = 3600, grace: int = 60) -> list[shown.Source]:
        """All that is told, so many seconds after NOON."""
        now = NOON + seconds * SECOND
        found = await shown.sources(self.tables, now, grace * SECOND)
        return await shown.in_full(self.tables, found, now, grace * SECOND)

    async def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table but the positions."""
        found = {}
        for table in TABLES:
            rows = await self.tables.fetch(f"SELECT * FROM {table}")
            found[table] = sorted((tuple(row.values()) for row in rows), key=repr)
        return found


@asynccontextmanager
async def running(sources: Sources) -> AsyncIterator[asyncio.Task[None]]:
    """Let it count until the end of the block."""
    task = asyncio.create_task(sources.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
