"""The projector on a real Kafka and a real PostgreSQL: each record once, whatever stops, restarts or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from consumers.projector import Batch, Projector, Topics, write
from consumers.reading import Fenced, ReadingStopped, unread
from projections.positions.store import Place, Step
from projections.postgres import connect
from schemas.codec import Codec
from tests.projections.gateway import Gateway
from tests.projections.samples import CUSTOMER, TICKET, clock, entry, ticket, uid, verdict

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]
PARTITIONS = 2
CODEC = Codec()


class Rig:
    """Topics of this test alone, a producer, and a connection to look at the tables."""

    def __init__(self, kafka: str, prefix: str, producer: AIOKafkaProducer, tables: asyncpg.Connection[Any]) -> None:
        self.kafka = kafka
        self.group = f"{prefix}projector"
        self.topics = Topics(*(prefix + name for name in Topics().all()))
        self.producer = producer
        self.tables = tables

    def projector(self, dsn: str) -> Projector:
        return Projector(self.kafka, dsn, CODEC, self.topics, group=self.group, session_timeout=6.0, batch=50)

    async def send(self, topic: str, records: Sequence[msgspec.Struct], partition: int = 0) -> None:
        for record in records:
            await self.producer.send(topic, CODEC.encode(record), partition=partition)
        await self.producer.flush()

    async def count(self, table: str = "timeline_entries") -> int:
        return int(await self.tables.fetchval(f"SELECT count(*) FROM {table}"))

    async def until(self, reached: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Look until it is so; a timeout otherwise."""
        async with asyncio.timeout(60):
            while not await reached():
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.02))])

    async def has(self, entries: int) -> None:
        async def reached() -> bool:
            return await self.count() >= entries

        await self.until(reached)
        assert await self.count() == entries

    async def positions(self) -> dict[str, int]:
        rows = await self.tables.fetch(
            "SELECT topic, sum(next)::bigint AS next FROM projector_positions GROUP BY topic"
        )
        return {row["topic"]: row["next"] for row in rows}


@pytest.fixture
async def rig(kafka: str, topic_prefix: str, dsn: str) -> AsyncIterator[Rig]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    tables = await asyncpg.connect(dsn)
    await producer.start()
    await admin.start()
    made = Rig(kafka, topic_prefix, producer, tables)
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in made.topics.all()])
        yield made
    finally:
        await admin.close()
        await producer.stop()
        await tables.close()


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(projector.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_on_the_topics_is_in_the_tables_once_and_a_restart_goes_on(rig: Rig, dsn: str) -> None:
    others = [entry(n, customer=uid("other")) for n in range(70)]
    await rig.send(rig.topics.entries, [entry(n) for n in range(120)])
    await rig.send(rig.topics.entries, others, partition=1)
    await rig.send(rig.topics.tickets, [ticket(1), ticket(2, clocks=[clock(state="met")])])
    await rig.send(rig.topics.verdicts, [verdict(1), verdict(1), verdict(2)])
    first = rig.projector(dsn)
    async with running(first):
        await rig.has(190)
        assert first.ready
    assert not first.ready
    # Repeats, as after a crash between output and state: the same ids under new offsets.
    await rig.send(rig.topics.entries, [entry(n) for n in range(100, 130)])
    await rig.send(rig.topics.tickets, [ticket(1)])
    async with running(rig.projector(dsn)):
        await rig.has(200)

        async def all_read() -> bool:
            return await rig.positions() == dict(zip(rig.topics.all(), (220, 3, 3), strict=True))

        await rig.until(all_read)
    assert await rig.count("sla_verdicts") == 2
    row = await rig.tables.fetchrow("SELECT version, state FROM tickets JOIN sla_clocks ON ticket = id")
    assert row is not None
    assert tuple(row) == (2, "met")


async def test_a_second_projector_takes_over_its_share_and_nothing_is_lost_or_doubled(rig: Rig, dsn: str) -> None:
    expected = 0

    async def send_more() -> None:
        nonlocal expected
        for partition in range(PARTITIONS):
            fresh = [entry(n, customer=uid(partition)) for n in range(expected, expected + 200)]
            await rig.send(rig.topics.entries, fresh, partition)
        expected += 200

    async with running(rig.projector(dsn)) as one:
        await send_more()
        await rig.has(400)
        second = rig.projector(dsn)
        async with running(second) as two:
            await send_more()

            async def joined() -> bool:
                return second.ready

            await rig.until(joined)
            await send_more()
            await rig.has(expected * PARTITIONS)
            assert not one.done()
            assert not two.done()
        await send_more()
        await rig.has(expected * PARTITIONS)


async def test_a_projector_whose_position_was_moved_by_another_writes_nothing_and_ends(rig: Rig, dsn: str) -> None:
    await rig.send(rig.topics.entries, [entry(1)])
    async with running(rig.projector(dsn)) as task:
        await rig.has(1)
        await rig.tables.execute("UPDATE projector_positions SET next = 7 WHERE topic = $1", rig.topics.entries)
        await rig.send(rig.topics.entries, [entry(2)])
        async with asyncio.timeout(30):
            with pytest.raises(Fenced, match="another projector"):
                await task
    assert await rig.count() == 1


async def test_of_two_that_hold_the_same_position_only_one_writes(dsn: str) -> None:
    one, two = await connect(dsn), await connect(dsn)
    place = Place("entries", 0)
    await one.execute("INSERT INTO projector_positions VALUES ('entries', 0, 0)")
    results = await asyncio.gather(
        write(one, Batch(entries=[entry(1)], steps={place: Step(0, 1)})),
        write(two, Batch(entries=[entry(2)], steps={place: Step(0, 1)})),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(Fenced) == 1
    assert await one.fetchval("SELECT count(*) FROM timeline_entries") == 1
    await one.close()
    await two.close()


async def test_a_record_that_cannot_be_decoded_stops_it_and_says_where(rig: Rig, dsn: str) -> None:
    await rig.send(rig.topics.entries, [entry(1)])
    await rig.producer.send_and_wait(rig.topics.entries, b"not ours", partition=0)
    await rig.send(rig.topics.entries, [entry(2)])
    async with running(rig.projector(dsn)) as task, asyncio.timeout(30):
        with pytest.raises(ReadingStopped, match=f"{rig.topics.entries}/0 at offset 1 can't be decoded"):
            await task


async def test_a_record_on_the_wrong_topic_stops_it(rig: Rig, dsn: str) -> None:
    await rig.send(rig.topics.verdicts, [ticket(1)])
    async with running(rig.projector(dsn)) as task, asyncio.timeout(30):
        with pytest.raises(ReadingStopped, match="TicketChanged, which does not belong"):
            await task


@dataclass
class Found:
    """A record as far as its offset counts."""

    offset: int
    value: bytes | None = None
    timestamp: int = 0


def test_what_was_fetched_before_a_seek_is_dropped_by_its_offset() -> None:
    found = [Found(n) for n in range(3, 8)]
    assert [each.offset for each in unread(found, 5, with_holes=False)] == [5, 6, 7]
    assert unread(found, 8, with_holes=False) == []


def test_a_gap_stops_it_unless_the_topic_has_holes() -> None:
    with pytest.raises(ReadingStopped, match="read offset 3 where 2 is next"):
        unread([Found(3)], 2, with_holes=False)
    assert len(unread([Found(3), Found(9)], 2, with_holes=True)) == 2


async def test_what_retention_took_is_passed_over_and_the_rest_is_read(rig: Rig, dsn: str) -> None:
    await rig.send(rig.topics.entries, [entry(n) for n in range(10)])
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(rig.topics.entries, 0): RecordsToDelete(before_offset=6)})
    await admin.close()
    await rig.tables.execute("INSERT INTO projector_positions VALUES ($1, 0, 2)", rig.topics.entries)
    async with running(rig.projector(dsn)):
        await rig.has(4)


async def test_a_topic_that_ends_before_the_position_is_another_topic(rig: Rig, dsn: str) -> None:
    await rig.tables.execute("INSERT INTO projector_positions VALUES ($1, 0, 5)", rig.topics.entries)
    async with running(rig.projector(dsn)) as task, asyncio.timeout(30):
        with pytest.raises(ReadingStopped, match="rebuild the tables"):
            await task


async def test_while_postgres_is_away_nothing_is_lost(rig: Rig, dsn: str) -> None:
    async with Gateway(dsn) as gateway:
        projector = rig.projector(gateway.dsn)
        async with running(projector) as task:
            await rig.send(rig.topics.entries, [entry(1)])
            await rig.has(1)
            gateway.down()
            await rig.send(rig.topics.entries, [entry(n) for n in range(2, 200)])

            async def noticed() -> bool:
                return not projector.ready

            await rig.until(noticed)
            await gateway.up()
            await rig.has(199)
            assert not task.done()


async def test_a_commit_whose_answer_is_lost_is_not_written_twice_and_does_not_stop_it(rig: Rig, dsn: str) -> None:
    async with Gateway(dsn) as gateway:
        async with running(rig.projector(gateway.dsn)) as task:
            await rig.send(rig.topics.entries, [entry(1)])
            await rig.has(1)
            gateway.lose_next_commit()
            await rig.send(rig.topics.entries, [entry(2)])
            async with asyncio.timeout(30):
                await gateway.lost.wait()
            await rig.send(rig.topics.entries, [entry(3)])
            await rig.has(3)
            assert not task.done()


async def test_it_waits_for_a_kafka_that_is_not_there_yet(dsn: str, free_tcp_port: int) -> None:
    projector = Projector(f"127.0.0.1:{free_tcp_port}", dsn, CODEC, Topics())
    async with running(projector) as task:
        _, pending = await asyncio.wait([task], timeout=1.5)
        assert pending == {task}
        assert not projector.ready


async def test_who_listens_is_told_of_entries_tickets_and_verdicts(dsn: str) -> None:
    told: list[str] = []
    connection, listening = await connect(dsn), await connect(dsn)
    await listening.add_listener("timeline", lambda *heard: told.append(str(heard[-1])))
    batch = Batch([entry(1)], [ticket(1, customer=uid("b"))], [verdict(1, customer=uid("c"))])
    await write(connection, batch)
    while not told:
        await listening.fetchval("SELECT 1")
    assert set(told[0].split(",")) == {CUSTOMER, uid("b"), uid("c")}
    assert await connection.fetchval("SELECT count(*) FROM tickets WHERE id = $1", TICKET) == 1
    await connection.close()
    await listening.close()
