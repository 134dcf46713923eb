"""A run in which nothing went wrong, laid out on a real Kafka and PostgreSQL; something of it may be changed first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from consumers.alerts import inbox
from hub.verify.evidence import Evidence
from projections.alerts import store as alerts
from projections.alerts.store import Move
from projections.contacts import store as contacts
from projections.migrate import migrate
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime.appending import Item, append, new_producer
from runtime.changelog import POSITION, Position
from runtime.settings import Settings
from runtime.topics_admin import apply
from schemas.codec import Codec
from schemas.records import SlaVerdictIssued
from schemas.topics import topics
from tests.chaos.perfect import PARTITIONS, RETENTION_DAYS

OUTPUTS = ("timeline-entry-added", "ticket-changed", "sla-verdict-issued")
DECISION = (
    "INSERT INTO identity_decisions (source, source_offset, event, customer, contact_point, reason, detail, decided_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, now())"
)


def settings_of(kafka: str, postgres: str, prefix: str) -> Settings:
    return Settings(
        kafka=kafka,
        postgres=postgres,
        topic_prefix=prefix,
        partitions=PARTITIONS,
        retention_days=RETENTION_DAYS,
        session_timeout=6.0,
    )


async def lay_out(evidence: Evidence, settings: Settings) -> None:
    """Write all of it. Names of topics inside records get the prefix, as a hub with a prefix writes them."""
    await apply(settings.kafka, topics(), settings.topic_prefix, PARTITIONS, 1)
    await migrate(settings.postgres)
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        for topic, logs in evidence.logs.items():
            for partition, log in logs.items():
                items = [_item(record, settings.topic_prefix) for record in log]
                await append(producer, settings.topic(topic), partition, items)
    finally:
        await producer.stop()
    await _commit(evidence, settings)
    connection = await asyncpg.connect(settings.postgres)
    try:
        await _fill(connection, evidence, settings)
    finally:
        await connection.close()


def _item(record: ConsumerRecord, prefix: str) -> Item:
    headers = [
        (name, _prefixed(value, prefix) if name in ("id", "source") else value) for name, value in record.headers
    ]
    value = record.value
    if record.key == POSITION and value is not None:
        held = msgspec.msgpack.decode(value, type=Position)
        sources = {prefix + source: place for source, place in held.sources.items()}
        value = msgspec.msgpack.encode(Position(held.next, sources, held.mark))
    return Item(record.key, value, headers)


def _prefixed(value: bytes, prefix: str) -> bytes:
    return prefix.encode() + value if value.startswith(b"interaction-") else value


async def _commit(evidence: Evidence, settings: Settings) -> None:
    """What the identity stage has relayed."""
    name = settings.topic("interaction-received")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, group_id=f"{settings.topic_prefix}hub-identity", enable_auto_commit=False
    )
    await consumer.start()
    try:
        logs = evidence.logs["interaction-received"]
        parts = {TopicPartition(name, partition): len(log) for partition, log in logs.items()}
        consumer.assign(list(parts))
        await consumer.commit(parts)
    finally:
        await consumer.stop()


async def _fill(connection: Any, evidence: Evidence, settings: Settings) -> None:
    tables = evidence.tables
    rows = []
    for (source, offset), made in evidence.decisions.items():
        detail = None
        if made.error or made.version is not None:
            detail = msgspec.json.encode({"error": made.error, "version": made.version}).decode()
        reason = "configuration" if made.version is not None else "new"
        place = (settings.topic_prefix + source, offset)
        rows.append((*place, made.event, made.customer, made.contact_point, reason, detail))
    await connection.executemany(DECISION, rows)
    await timeline.add(connection, tables.entries)
    await tickets.put(connection, tables.tickets)
    await verdicts.add(connection, tables.verdicts)
    await contacts.add(connection, tables.entries)
    places = {(name, part): len(log) for name in OUTPUTS for part, log in evidence.logs[name].items()}
    for (name, part), end in places.items():
        await connection.execute(
            "INSERT INTO projector_positions (topic, partition, next) VALUES ($1, $2, $3)",
            settings.topic(name), part, end,
        )  # fmt: skip
    await _read_alerts(connection, evidence.logs["sla-verdict-issued"], settings)


async def _read_alerts(connection: Any, logs: dict[int, list[ConsumerRecord]], settings: Settings) -> None:
    topic = settings.topic("sla-verdict-issued")
    await alerts.positions(connection, topic, range(PARTITIONS))
    for part, log in logs.items():
        found: Sequence[Any] = [Codec().decode(record.value or b"") for record in log]
        read = [each for each in found if isinstance(each, SlaVerdictIssued)]
        await inbox.put(connection, topic, {part: Move(0, len(log))}, read, [], 0)
