"""The publisher against a real Kafka: what it says is durable can be read, and it outlives Kafka's absence."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from domain.errors import Reason, Unavailable
from hub.local.kafka import KafkaCluster
from hub.local.state import default_folder
from runtime.blobs import FolderBlobs
from runtime.publisher import KafkaPublisher, RecordRefused, Topics
from schemas.codec import Codec
from schemas.records import ContactPoint, InteractionReceived

pytestmark = pytest.mark.kafka

NOW = 1_772_442_000_000_000
CODEC = Codec()
EVENT = InteractionReceived(
    id="0d9c1c6e-2f0c-5b1e-9d6c-3a6a5b3c2d10",
    type="message.received",
    tenant="default",
    source="whatsapp/main",
    channel="chat",
    direction="inbound",
    occurred_at=NOW - 1,
    received_at=NOW,
    conversation="whatsapp:1:é",
    contact_points=[ContactPoint(kind="phone", value="+4930901820", verified=True)],
    text="Hello",
)


class Frozen:
    def now(self) -> int:
        return NOW


def unavailable(detail: str) -> Exception:
    return Unavailable(Reason.KAFKA_UNAVAILABLE, detail)


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    return Topics(f"{topic_prefix}interaction-received", f"{topic_prefix}interaction-received-dlq")


@asynccontextmanager
async def publishing(
    bootstrap: str, topics: Topics, folder: Path, seconds: float = 10.0
) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(bootstrap, CODEC, topics, FolderBlobs(folder), Frozen(), seconds, unavailable)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def create(bootstrap: str, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 4, 1) for name in topics])
    finally:
        await admin.close()


async def records(bootstrap: str, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """All records of a topic, in their order per partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord[bytes, bytes]] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=1_000)).values():
                found.extend(batch)
        return found
    finally:
        await consumer.stop()


def numbered(count: int) -> list[InteractionReceived]:
    return [msgspec.structs.replace(EVENT, id=f"e-{n}", conversation=f"c-{n % 7}") for n in range(count)]


async def test_what_was_acknowledged_can_be_read(kafka: str, topics: Topics, tmp_path: Path) -> None:
    await create(kafka, topics)
    async with publishing(kafka, topics, tmp_path) as publisher:
        await publisher.publish([EVENT])
        [record] = await records(kafka, topics.received)
    assert record.key == "whatsapp:1:é".encode()
    assert record.value is not None
    assert CODEC.decode(record.value) == EVENT
    headers = {name: bytes(value) for name, value in record.headers}
    assert headers["content-type"] == b"application/avro"
    message = KafkaMessage(headers, record.key, record.value)
    attributes = from_binary(message, JSONFormat()).get_attributes()
    assert {name: str(attributes[name]) for name in ("specversion", "id", "source", "type", "time")} == {
        "specversion": "1.0",
        "id": EVENT.id,
        "source": "whatsapp/main",
        "type": "message.received",
        "time": "2026-03-02 08:59:59.999999+00:00",
    }


async def test_many_calls_at_once_keep_the_order_of_each_conversation(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    await create(kafka, topics)
    events = numbered(2_000)
    async with publishing(kafka, topics, tmp_path) as publisher:
        await asyncio.gather(*(publisher.publish(events[n : n + 4]) for n in range(0, len(events), 4)))
        found = [CODEC.decode(record.value or b"") for record in await records(kafka, topics.received)]
    assert len(found) == len(events)
    for conversation in {event.conversation for event in events}:
        assert [event for event in found if getattr(event, "conversation", "") == conversation] == [
            event for event in events if event.conversation == conversation
        ]


async def test_a_dead_letter_keeps_the_bytes_and_why(kafka: str, topics: Topics, tmp_path: Path) -> None:
    await create(kafka, topics)
    large = b"x" * 1_000_001
    async with publishing(kafka, topics, tmp_path) as publisher:
        letter = await publisher.dead_letter("whatsapp/main", "not_json", "é" * 5_000, b"{\xff")
        assert await publisher.dead_letter("whatsapp/main", "not_json", "another day", b"{\xff") == letter
        await publisher.dead_letter("whatsapp/main", "not_json", "", large)
        await publisher.dead_letter("whatsapp/main", "not_json", "", b"")
        found = await records(kafka, topics.dead_letters)
    assert sorted(record.value or b"" for record in found) == [b"", b"", b"{\xff", b"{\xff"]
    headers = [{name: bytes(value).decode() for name, value in record.headers} for record in found]
    [kept] = [header["blob"] for header in headers if "blob" in header]
    assert kept == f"sha256:{hashlib.sha256(large).hexdigest()}"
    assert FolderBlobs(tmp_path).get(kept) == large
    first = next(header for header in headers if header["detail"].startswith("é"))
    assert first == {
        "id": letter,
        "stage": "door",
        "reason": "not_json",
        "detail": "é" * 2_000,
        "source": "whatsapp/main",
        "at": str(NOW),
    }


async def test_an_event_that_cannot_be_a_record_is_refused_and_harms_no_other(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    await create(kafka, topics)
    async with publishing(kafka, topics, tmp_path) as publisher:
        large = msgspec.structs.replace(EVENT, text="x" * 1_100_000)
        for event, reason in [(large, "too_large"), (msgspec.structs.replace(EVENT, sequence=2**63), "not_valid")]:
            with pytest.raises(RecordRefused) as caught:
                await publisher.publish([EVENT, event])
            assert caught.value.reason == reason
        await publisher.publish([EVENT])
        assert len(await records(kafka, topics.received)) == 1


async def test_a_topic_that_does_not_exist_is_named(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with publishing(kafka, topics, tmp_path, 2.0) as publisher:
        with pytest.raises(Unavailable) as caught:
            await publisher.publish([EVENT])
        assert topics.received in str(caught.value)


async def test_a_batch_that_kafka_refuses_harms_no_later_one(kafka: str, topics: Topics, tmp_path: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    limit = {"max.message.bytes": "2000"}
    await admin.create_topics([NewTopic(topics.received, 1, 1, topic_configs=limit)])
    await admin.close()
    async with publishing(kafka, topics, tmp_path) as publisher:
        await publisher.publish([EVENT])
        with pytest.raises(Unavailable):
            await publisher.publish([msgspec.structs.replace(EVENT, text="x" * 5_000)])
        await publisher.publish([EVENT])
        await publisher.publish([EVENT])


async def test_nothing_published_is_nothing_asked_of_kafka(topics: Topics, tmp_path: Path) -> None:
    async with publishing("127.0.0.1:1", topics, tmp_path) as publisher:
        await publisher.publish([])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    """A Kafka of this test's own, not started yet."""
    cluster = KafkaCluster(tmp_path / "kafka", default_folder() / "kafka-libs", heap_mb=256)
    yield cluster
    cluster.remove()


async def eventually(publisher: KafkaPublisher, events: list[InteractionReceived], seconds: float) -> None:
    """Deliver again, as a sender does who was told to, until it is taken."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await publisher.publish(events)
            except Unavailable:
                continue


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_it_starts_before_kafka_and_outlives_its_death(
    cluster: KafkaCluster, topics: Topics, tmp_path: Path
) -> None:
    async with publishing(cluster.bootstrap, topics, tmp_path / "blobs", 1.0) as publisher:
        await refused_in_time(lambda: publisher.publish(numbered(1)), 1.0)
        await refused_in_time(lambda: publisher.dead_letter("s", "r", "d", b"body"), 1.0)

        await asyncio.to_thread(cluster.start)
        await create(cluster.bootstrap, topics)
        await eventually(publisher, numbered(3), 60)

        [node] = cluster.nodes
        assert node.process is not None
        await asyncio.to_thread(node.kill)
        for _ in range(4):  # what waits in the producer is bounded: each call ends in time, however many there were
            await asyncio.gather(*(refused_in_time(lambda: publisher.publish(numbered(50)), 1.0) for _ in range(20)))

        await asyncio.to_thread(cluster.start)
        await eventually(publisher, numbered(10), 60)
        for _ in range(5):
            await publisher.publish(numbered(10))
        ids = {
            getattr(CODEC.decode(record.value or b""), "id", "")
            for record in await records(cluster.bootstrap, topics.received)
        }
        assert {f"e-{n}" for n in range(10)} <= ids


async def refused_in_time(call: Callable[[], Awaitable[object]], seconds: float) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await call()
    assert time.monotonic() - began < seconds + 2.0
