"""What lies on the topics, read by another client than the hub's own, and the sum over it: one in, one out.

Each record that came in ends as exactly one entry of a history, or as one dead letter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, cast

import asyncpg
from confluent_kafka import Consumer, KafkaError, TopicPartition

from hub.demo.api import seen
from runtime.settings import Settings
from schemas.codec import Codec, NotDecodable
from schemas.records import InteractionReceived
from schemas.vocabulary import CONFIGURATION

_ALL_EVENTS = "SELECT event::text FROM timeline_entries"


class Place(NamedTuple):
    """Where a record lies; ``log`` is topic/partition, as the hub's own headers write it."""

    log: str
    offset: int


class Record(NamedTuple):
    """A record with its headers."""

    place: Place
    value: bytes
    headers: dict[str, bytes]

    @property
    def source(self) -> Place | None:
        """The record that it was made from, where its headers name one."""
        offset = self.headers.get("source_offset")
        return None if offset is None else Place(self.headers["source"].decode(), int(offset))


class Balance(NamedTuple):
    """Events by id: those that should be entries, those that are, and those a stage made a dead letter of."""

    expected: frozenset[str]
    entries: Counter[str]
    buried: frozenset[str]


def sizes(kafka: str, topics: Sequence[str]) -> list[int]:
    """How many records each topic has ever had."""
    consumer = _consumer(kafka)
    try:
        return [sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in _parts(consumer, topic))
                for topic in topics]  # fmt: skip
    finally:
        consumer.close()


def read_all(kafka: str, topic: str) -> list[Record]:
    """Every record of a topic, each partition in its order."""
    consumer = _consumer(kafka)
    try:
        parts = _parts(consumer, topic)
        consumer.assign([TopicPartition(topic, part.partition, 0) for part in parts])
        found: list[Record] = []
        ended = 0
        while ended < len(parts):
            message = consumer.poll(10)
            assert message is not None, f"Kafka gives no more of {topic}"
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
                continue
            offset = message.offset()
            assert offset is not None
            place = Place(f"{topic}/{message.partition()}", offset)
            given = cast("list[tuple[str, bytes]]", message.headers() or [])  # its stubs say a dict may come; none does
            found.append(Record(place, message.value() or b"", dict(given)))
        return found
    finally:
        consumer.close()


def _consumer(kafka: str) -> Consumer:
    return Consumer({"bootstrap.servers": kafka, "group.id": "journeys-log", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "enable.partition.eof": True})  # fmt: skip


def _parts(consumer: Consumer, topic: str) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=10).topics[topic]
    return [TopicPartition(topic, number) for number in sorted(found.partitions)]


async def balance(settings: Settings) -> Balance:
    """The state of the account at this moment."""
    received, identified, kept = [
        await asyncio.to_thread(read_all, settings.kafka, settings.topic(name))
        for name in ("interaction-received", "interaction-identified", "interaction-received-dlq")
    ]
    origins = {record.place: record.source for record in identified}
    failed = {record.source for record in kept if record.source is not None}
    failed |= {origin for place in failed if (origin := origins.get(place)) is not None}
    expected, buried = set[str](), set[str]()
    for record in received:
        event = _event(record.value)
        name = str(record.place) if event is None else event.id
        if record.place in failed:
            buried.add(name)
        elif event is None or event.type != CONFIGURATION:
            expected.add(name)
    connection = await asyncpg.connect(settings.postgres)
    try:
        entries = Counter(row["event"] for row in await connection.fetch(_ALL_EVENTS))
    finally:
        await connection.close()
    return Balance(frozenset(expected), entries, frozenset(buried))


async def balanced(settings: Settings) -> Balance:
    """Wait until everything that came in has arrived; check that nothing arrived twice or came from nowhere."""

    async def look() -> Balance | None:
        found = await balance(settings)
        return found if found.expected <= found.entries.keys() else None

    found = await seen("an entry or a dead letter for everything that came in", look)
    assert found.entries.keys() == found.expected
    assert set(found.entries.values()) <= {1}
    return found


def _event(value: bytes) -> InteractionReceived | None:
    try:
        found = Codec().decode(value)
    except NotDecodable:
        return None
    return found if isinstance(found, InteractionReceived) else None
