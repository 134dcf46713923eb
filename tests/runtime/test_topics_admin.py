"""Topics on a real Kafka: made once, configured again when they differ, and never repartitioned when order counts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from runtime import topics_admin
from runtime.topics_admin import Change, Kind, TopicRefused, apply, diff
from schemas.topics import Topic, topics

pytestmark = pytest.mark.kafka


def only(name: str, **config: str | int | float) -> dict[str, Topic]:
    """One of the hub's topics, with other settings."""
    topic = topics()[name]
    return {name: msgspec.structs.replace(topic, config=topic.config | config)}


async def make(kafka: str, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
    """Create a topic as somebody else would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
        while name not in await topics_admin._describe(admin, [name]):
            pass
    finally:
        await admin.close()


async def config_of(kafka: str, name: str) -> dict[str, str]:
    """What Kafka says is set, defaults included."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()


async def names(kafka: str, prefix: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if name.startswith(prefix)}
    finally:
        await admin.close()


async def test_missing_topics_are_shown_then_made_then_nothing_is_left(kafka: str, topic_prefix: str) -> None:
    wanted = await diff(kafka, topics(), topic_prefix, 3, 1)
    assert [(change.topic, change.kind) for change in wanted] == [
        (topic_prefix + name, Kind.CREATE) for name in sorted(topics())
    ]
    assert await names(kafka, topic_prefix) == set(), "diff changes nothing, not even through automatic creation"

    assert await apply(kafka, topics(), topic_prefix, 3, 1) == wanted
    assert await diff(kafka, topics(), topic_prefix, 3, 1) == []
    assert await apply(kafka, topics(), topic_prefix, 3, 1) == []

    for name, topic in topics().items():
        config = await config_of(kafka, topic_prefix + name)
        assert topic.kafka_config(1).items() <= config.items()


async def test_a_new_topic_can_be_written_to_at_once(kafka: str, topic_prefix: str) -> None:
    await apply(kafka, only("ticket-changed"), topic_prefix, 2, 1)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for partition in range(2):
            sent = await producer.send_and_wait(f"{topic_prefix}ticket-changed", b"v", key=b"k", partition=partition)
            assert sent.offset == 0


async def test_a_setting_that_differs_is_changed_and_an_operators_own_is_kept(kafka: str, topic_prefix: str) -> None:
    name = f"{topic_prefix}interaction-identified"
    await make(kafka, name, 2, {"retention.ms": "1000", "segment.ms": "86400000"})
    changes = await apply(kafka, only("interaction-identified"), topic_prefix, 2, 1)

    assert Change(name, Kind.CONFIGURE, "retention.ms", "1000", "-1") in changes
    assert f"{name}: configure, retention.ms from 1000 to -1" in map(str, changes)
    config = await config_of(kafka, name)
    assert config["retention.ms"] == "-1"
    assert config["segment.ms"] == "86400000"
    assert await apply(kafka, only("interaction-identified"), topic_prefix, 2, 1) == []


async def test_another_partition_count_of_a_keyed_topic_is_refused_before_anything_changes(
    kafka: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}timeline-entry-added"
    await make(kafka, name, 2, {"retention.ms": "1000"})
    for count in (1, 3):
        with pytest.raises(TopicRefused, match=rf"{name}: has 2 partitions and should have {count}; refused"):
            await apply(kafka, topics(), topic_prefix, count, 1)
    assert await names(kafka, topic_prefix) == {name}
    assert (await config_of(kafka, name))["retention.ms"] == "1000"
    kinds = {change.kind for change in await diff(kafka, topics(), topic_prefix, 3, 1) if change.topic == name}
    assert kinds == {Kind.REFUSED, Kind.CONFIGURE}


async def test_dead_letters_may_get_more_partitions_but_not_fewer(kafka: str, topic_prefix: str) -> None:
    letters = only("interaction-received-dlq")
    await apply(kafka, letters, topic_prefix, 1, 1)
    assert [change.kind for change in await apply(kafka, letters, topic_prefix, 4, 1)] == [Kind.ADD_PARTITIONS]
    assert await apply(kafka, letters, topic_prefix, 4, 1) == []
    with pytest.raises(TopicRefused):
        await apply(kafka, letters, topic_prefix, 2, 1)


async def test_a_topic_with_fewer_replicas_stays_writable(kafka: str, topic_prefix: str) -> None:
    name = f"{topic_prefix}ticket-changed"
    await apply(kafka, only("ticket-changed"), topic_prefix, 1, 1)
    assert await apply(kafka, only("ticket-changed"), topic_prefix, 1, 3) == []
    (left,) = await diff(kafka, only("ticket-changed"), topic_prefix, 1, 3)
    assert left.kind is Kind.BY_HAND
    assert "has replicas 1 and should have 3" in str(left)
    # With min.insync.replicas=2 on one replica, every write would fail.
    assert (await config_of(kafka, name))["min.insync.replicas"] == "1"


async def test_more_replicas_than_brokers_is_kafkas_error_with_the_topics_name(kafka: str, topic_prefix: str) -> None:
    with pytest.raises(KafkaError, match=rf"can't create topic {topic_prefix}ticket-changed: .*replication factor"):
        await apply(kafka, only("ticket-changed"), topic_prefix, 1, 99)


async def test_a_setting_that_kafka_does_not_know_is_its_error_with_the_topics_name(
    kafka: str, topic_prefix: str
) -> None:
    await apply(kafka, only("ticket-changed"), topic_prefix, 1, 1)
    with pytest.raises(KafkaError, match=rf"can't configure topic {topic_prefix}ticket-changed: .*cleanup.policy"):
        await apply(kafka, only("ticket-changed", **{"cleanup.policy": "sometimes"}), topic_prefix, 1, 1)


def test_three_replicas_ask_for_two_in_sync() -> None:
    topic = topics()["interaction-received"]
    assert topic.kafka_config(3)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in topic.kafka_config(2)
