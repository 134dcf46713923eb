"""Compares the topics a Kafka has with those the hub wants, and creates or configures what differs.

Only ``hub topics apply`` uses this: no worker creates or changes a topic. Nothing is ever deleted, settings made by an
operator that the hub says nothing of stay as they are, and a keyed topic's partition count is refused, never changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from schemas.topics import Topic

READY_SECONDS = 30.0
_SET_ON_TOPIC = 1  # config_source DYNAMIC_TOPIC_CONFIG of DescribeConfigs version 1 and later


class Kind(StrEnum):
    """What is to be done about a difference."""

    CREATE = "create"
    CONFIGURE = "configure"
    ADD_PARTITIONS = "add partitions"
    REFUSED = "refused"
    BY_HAND = "by hand"


class Change(msgspec.Struct, frozen=True):
    """One difference. ``topic``: its name on this Kafka; ``setting``: what differs; ``before``: empty if not there."""

    topic: str
    kind: Kind
    setting: str
    before: str
    after: str

    def __str__(self) -> str:
        match self.kind:
            case Kind.CREATE:
                return f"{self.topic}: create with {self.after}"
            case Kind.REFUSED:
                return (
                    f"{self.topic}: has {self.before} partitions and should have {self.after}; refused, since records"
                    f" of one key would move to another partition. Set HUB_PARTITIONS={self.before}, or choose another"
                    " HUB_TOPIC_PREFIX and fill its topics anew"
                )
            case Kind.BY_HAND:
                return (
                    f"{self.topic}: has {self.setting} {self.before} and should have {self.after}; to be changed with"
                    " Kafka's kafka-reassign-partitions, or set HUB_REPLICATION to what it has"
                )
            case _:
                return f"{self.topic}: {self.kind}, {self.setting} from {self.before or 'unset'} to {self.after}"


class TopicRefused(Exception):
    """A topic can't become what is wanted. Its text says which, why, and what to do; nothing was changed."""


class _Found(NamedTuple):
    """A topic as Kafka has it. ``led``: every partition has a leader; ``own``: the configuration set on the topic."""

    partitions: int
    replicas: int
    led: bool
    config: dict[str, str]
    own: dict[str, str]


async def diff(
    bootstrap: str, topics: Mapping[str, Topic], prefix: str, partitions: int, replication: int
) -> list[Change]:
    """What differs between ``topics`` and Kafka, in order of topic; empty if nothing does. Changes nothing.

    ``prefix`` begins every topic's name there; ``partitions`` and ``replication`` are those of every topic.
    """
    async with _client(bootstrap) as admin:
        found = await _describe(admin, [prefix + name for name in topics])
    return _compare(found, topics, prefix, partitions, replication)


async def apply(
    bootstrap: str, topics: Mapping[str, Topic], prefix: str, partitions: int, replication: int
) -> list[Change]:
    """Make Kafka's topics what ``topics`` says. Returns what was done, once new topics can be written to.

    Calling it again does nothing. Raises ``TopicRefused``, before anything is changed, when the partition count of a
    keyed topic differs. Other replica counts are left alone; ``diff`` goes on showing them.
    """
    async with _client(bootstrap) as admin:
        found = await _describe(admin, [prefix + name for name in topics])
        changes = _compare(found, topics, prefix, partitions, replication)
        refused = [change for change in changes if change.kind is Kind.REFUSED]
        if refused:
            raise TopicRefused("\n".join(map(str, refused)))
        wanted = {
            prefix + name: _wanted(topic, found.get(prefix + name), replication) for name, topic in topics.items()
        }
        created = [change.topic for change in changes if change.kind is Kind.CREATE]
        await _create(admin, {name: wanted[name] for name in created}, partitions, replication)
        altered = {change.topic for change in changes if change.kind is Kind.CONFIGURE}
        await _configure(admin, {name: found[name].own | wanted[name] for name in sorted(altered)})
        grown = [change.topic for change in changes if change.kind is Kind.ADD_PARTITIONS]
        if grown:
            await admin.create_partitions({name: NewPartitions(partitions) for name in grown})
        done = [change for change in changes if change.kind is not Kind.BY_HAND]
        if done:
            await _settle(admin, topics, prefix, partitions, replication)
    return done


async def drop_before(bootstrap: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Remove what stands before these offsets of a compacted topic's partitions.

    Kafka does so only where records may be deleted at all, so for this moment they may, without any of them expiring.
    Raises what Kafka says when this user may not configure topics; nothing was removed then.
    """
    async with _client(bootstrap) as admin:
        own = (await _describe(admin, [topic]))[topic].own
        before = {name: value for name, value in own.items() if not name.startswith("retention.")}
        kept = {"cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "-1"}
        await _configure(admin, {topic: before | kept})
        try:
            wanted = {TopicPartition(topic, number): RecordsToDelete(offset) for number, offset in offsets.items()}
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    try:
                        await admin.delete_records(wanted)
                        return
                    except PolicyViolationError:  # the broker has not heard of the change yet
                        await asyncio.sleep(0.1)
        finally:
            await _configure(admin, {topic: before | {"cleanup.policy": "compact"}})


def _wanted(topic: Topic, there: _Found | None, replication: int) -> dict[str, str]:
    """Its configuration. Where a topic has fewer replicas than wanted, asking for more in sync would end all writes."""
    return topic.kafka_config(replication if there is None else min(replication, there.replicas))


def _compare(
    found: Mapping[str, _Found], topics: Mapping[str, Topic], prefix: str, partitions: int, replication: int
) -> list[Change]:
    """The differences; pure."""
    changes = []
    for short, topic in topics.items():
        name = prefix + short
        there = found.get(name)
        wanted = _wanted(topic, there, replication)
        if there is None:
            settings = " ".join(f"{key}={value}" for key, value in sorted(wanted.items()))
            what = f"partitions={partitions} replicas={replication} {settings}"
            changes.append(Change(name, Kind.CREATE, "topic", "", what))
            continue
        if there.partitions != partitions:
            fixed = topic.keyed or there.partitions > partitions
            kind = Kind.REFUSED if fixed else Kind.ADD_PARTITIONS
            changes.append(Change(name, kind, "partitions", str(there.partitions), str(partitions)))
        if there.replicas != replication:
            changes.append(Change(name, Kind.BY_HAND, "replicas", str(there.replicas), str(replication)))
        changes += [
            Change(name, Kind.CONFIGURE, key, there.config.get(key, ""), value)
            for key, value in sorted(wanted.items())
            if there.config.get(key) != value
        ]
    return changes


@asynccontextmanager
async def _client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="hub-topics")
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, _Found]:
    """Those of ``names`` that exist. All topics are listed: asking for a missing one by name could create it."""
    there = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics() if topic["topic"] in names}
    if not there:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    found = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue  # a broker that has not heard of it yet answered
            _check(code, f"can't read the configuration of topic {name}: {message}")
            config = {entry[0]: entry[1] or "" for entry in entries}
            own = {entry[0]: entry[1] or "" for entry in entries if entry[3] == _SET_ON_TOPIC}
            replicas = min(len(partition["replicas"]) for partition in there[name])
            led = all(partition["leader"] >= 0 for partition in there[name])
            found[name] = _Found(len(there[name]), replicas, led, config, own)
    return found


async def _create(
    admin: AIOKafkaAdminClient, topics: Mapping[str, dict[str, str]], partitions: int, replication: int
) -> None:
    if not topics:
        return
    wanted = [NewTopic(name, partitions, replication, topic_configs=config) for name, config in topics.items()]
    response = await admin.create_topics(wanted)
    for name, code, *message in response.topic_errors:
        if code != TopicAlreadyExistsError.errno:  # somebody else applies at the same time
            _check(code, f"can't create topic {name}: {message[0] if message else ''}")


async def _configure(admin: AIOKafkaAdminClient, topics: Mapping[str, dict[str, str]]) -> None:
    """Set the whole configuration of topics: AlterConfigs resets what it is not given, so all of it is given."""
    if not topics:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, config) for name, config in topics.items()]
    for response in await admin.alter_configs(resources):
        for code, message, _, name in response.resources:
            _check(code, f"can't configure topic {name}: {message}")


async def _settle(
    admin: AIOKafkaAdminClient, topics: Mapping[str, Topic], prefix: str, partitions: int, replication: int
) -> None:
    """Wait until the brokers show what was done: they learn it from the controller a moment after it has answered.

    Raises ``TimeoutError`` after ``READY_SECONDS``.
    """
    async with asyncio.timeout(READY_SECONDS):
        while True:
            found = await _describe(admin, [prefix + name for name in topics])
            left = _compare(found, topics, prefix, partitions, replication)
            if all(change.kind is Kind.BY_HAND for change in left) and all(topic.led for topic in found.values()):
                return
            await asyncio.sleep(0.05)


def _check(code: int, message: str) -> None:
    if code:
        raise for_code(code)(message)
