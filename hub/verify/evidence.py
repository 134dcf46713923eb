"""Everything that a run left behind, read from Kafka and PostgreSQL into plain values: what the check is made from.

Kept apart from the check, so that the check itself can be checked with evidence that was changed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from projections.audit import store as audit
from projections.tickets import store as tickets
from projections.tickets.store import Filter
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from schemas.records import SlaVerdictIssued, TicketChanged, TimelineEntryAdded

if TYPE_CHECKING:
    from projections.postgres import Connection

OUTPUTS = ("timeline-entry-added", "ticket-changed", "sla-verdict-issued")
TOPICS = ("interaction-received", "interaction-identified", "interaction-received-dlq", "casework-changelog", *OUTPUTS)
Places = dict[tuple[str, int], int]


class Decided(NamedTuple):
    """A row of ``identity_decisions``."""

    event: str
    customer: str | None
    contact_point: str
    version: int | None
    error: str | None
    reason: str = ""


class AlertRow(NamedTuple):
    """A row of ``alerts``, without what can be said only of one attempt."""

    quiet: str | None
    opened_at: int
    closed_at: int | None
    because: str | None


@dataclass(slots=True)
class Tables:
    """The rows in PostgreSQL as the records they stand for."""

    entries: list[TimelineEntryAdded] = field(default_factory=list)
    tickets: list[TicketChanged] = field(default_factory=list)
    verdicts: list[SlaVerdictIssued] = field(default_factory=list)
    alerts: dict[str, AlertRow] = field(default_factory=dict)


@dataclass(slots=True)
class Evidence:
    """``logs``: per topic (without prefix) its records by partition, in order. ``decisions``: by (source, offset)."""

    prefix: str
    partitions: int
    logs: dict[str, dict[int, list[ConsumerRecord]]]
    decisions: dict[tuple[str, int], Decided]
    tables: Tables


async def gather(kafka: str, postgres: str, prefix: str, partitions: int) -> Evidence:
    """Read all of it. Nothing may be writing meanwhile."""
    logs = {topic: await read_topic(kafka, prefix + topic) for topic in TOPICS}
    connection = await asyncpg.connect(postgres)
    try:
        return Evidence(prefix, partitions, logs, await _decisions(connection), await _tables(connection))
    finally:
        await connection.close()


async def read_topic(kafka: str, topic: str) -> dict[int, list[ConsumerRecord]]:
    """Every record of a topic, by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        parts = await _partitions(consumer, topic)
        ends = await consumer.end_offsets(parts)
        found: dict[int, list[ConsumerRecord]] = {}
        for part in sorted(parts):
            records = found.setdefault(part.partition, [])
            consumer.assign([part])
            await consumer.seek_to_beginning(part)
            while await consumer.position(part) < ends[part]:
                records += (await consumer.getmany(part, timeout_ms=1000)).get(part, [])
        return found
    finally:
        await consumer.stop()


async def ends_of(kafka: str, topics: Sequence[str]) -> Places:
    """The next offset of each partition of the topics."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [part for topic in topics for part in await _partitions(consumer, topic)]
        return {(part.topic, part.partition): end for part, end in (await consumer.end_offsets(parts)).items()}
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """A topic's partitions, as soon as the broker that is asked knows the topic."""
    async with asyncio.timeout(30):
        while True:
            consumer.subscribe([topic])  # without a group this only makes the client ask for the topic
            await consumer._client.force_metadata_update()
            numbers = consumer.partitions_for_topic(topic)
            consumer.unsubscribe()
            if numbers:
                return [TopicPartition(topic, number) for number in sorted(numbers)]


async def committed(kafka: str, group: str) -> Places:
    """Where a consumer group stands."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        offsets: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
        return {(part.topic, part.partition): held.offset for part, held in offsets.items()}
    finally:
        await admin.close()


async def positions(connection: Connection, table: str) -> Places:
    """Where a reader stands by its own table of positions: projector_positions or alert_positions."""
    return await audit.positions(connection, table)


async def _decisions(connection: Connection) -> dict[tuple[str, int], Decided]:
    return {
        (row["source"], row["source_offset"]): Decided(
            row["event"], row["customer"], row["contact_point"] or "", row["version"], row["error"], row["reason"]
        )
        for row in await audit.decisions(connection)
    }


async def _tables(connection: Connection) -> Tables:
    found = Tables()
    for customer in await audit.customers(connection):
        found.entries += await timeline.since(connection, customer, 0, 1_000_000)
    found.tickets = await tickets.page(connection, Filter(), 1_000_000)
    found.verdicts = await verdicts.of_tickets(connection, await audit.tickets_with_verdicts(connection))
    rows = await audit.alerts(connection)
    found.alerts = {row["id"]: AlertRow(*tuple(row)[1:]) for row in rows}
    return found
