"""Reads partitions of topics from one offset to another, without a consumer group: nobody notices that it reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

FETCHED = 10_000  # records at a time; between two fetches the event loop turns
STALLED = 45.0
UNKNOWN = 30.0


class Refused(Exception):
    """What was asked for can't be done here and now: says why, and what to do."""


class Span(NamedTuple):
    """What a partition holds: the first offset, and the next one to be written."""

    begin: int
    end: int


class Log:
    """Topics by the names they have on this Kafka."""

    def __init__(self, kafka: str, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._consumer = consumer
        self._reading: object = None

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises ``Refused`` when Kafka knows no such topic."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await admin.start()
        try:
            found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
        finally:
            await admin.close()
        if topic not in found:
            raise Refused(
                f"there is no topic {topic} on {self._kafka}: see HUB_KAFKA, HUB_TOPIC_PREFIX, hub topics diff"
            )
        return found[topic]

    async def spans(self, topic: str, partitions: Sequence[int]) -> dict[int, Span]:
        """What these partitions of a topic hold now."""
        parts = [TopicPartition(topic, number) for number in partitions]
        begins, ends = await self._consumer.beginning_offsets(parts), await self._consumer.end_offsets(parts)
        return {part.partition: Span(begins[part], ends[part]) for part in parts}

    async def span(self, topic: str, partition: int) -> Span:
        """What a partition holds now."""
        return (await self.spans(topic, [partition]))[partition]

    async def whole(self, topic: str, partition: int) -> Span:
        """What a partition holds, which is all there ever was. Raises ``Refused`` where its beginning is gone."""
        span = await self.span(topic, partition)
        if span.begin > 0:
            raise Refused(
                f"{topic}/{partition} begins at {span.begin}: what came before was removed, so nothing can be"
                " recomputed from it. Put the archived part back, or set retention.ms of that topic to -1 from now on"
            )
        return span

    async def read(self, topic: str, partition: int, begin: int, end: int) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """The records with ``begin`` <= offset < ``end``, in batches. Raises ``TimeoutError`` when Kafka gives none."""
        part, mine = TopicPartition(topic, partition), object()
        moved, position = time.monotonic(), begin
        while position < end:
            if self._reading is not mine:  # another partition was read while this one waited
                self._reading = mine
                self._consumer.assign([part])
                self._consumer.seek(part, position)
            found = (await self._consumer.getmany(part, timeout_ms=1000, max_records=FETCHED)).get(part, [])
            position = await self._consumer.position(part)
            if found:
                yield found if found[-1].offset < end else [each for each in found if each.offset < end]
                moved = time.monotonic()
            if time.monotonic() - moved > STALLED:
                raise TimeoutError(f"{topic}/{partition}: nothing could be read at {position} for {STALLED:.0f} s")
            await asyncio.sleep(0)


@asynccontextmanager
async def open_log(kafka: str) -> AsyncIterator[Log]:
    """A log to read from; connected until the block ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=8 * 1024 * 1024,
        fetch_max_wait_ms=50,
    )
    try:
        await consumer.start()
        yield Log(kafka, consumer)
    finally:
        await consumer.stop()
