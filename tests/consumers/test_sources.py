"""Sources on a real Kafka and a real PostgreSQL: each event counted once, each missing number told, none made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.reading import Fenced
from domain.sequences import MOST_GAPS, Gap, Numbering
from projections.positions.store import Place, Step
from projections.postgres import connect
from projections.sources import shown, store
from projections.sources.store import Batch, Number, StreamKey
from tests.consumers.counting import CODEC, SECOND, Rig, counted, event, running
from tests.projections.gateway import Gateway
from tests.projections.samples import NOON, uid

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]
PARTITIONS = 2


@pytest.fixture
async def rig(kafka: str, topic_prefix: str, dsn: str) -> AsyncIterator[Rig]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    tables = await asyncpg.connect(dsn)
    await producer.start()
    await admin.start()
    made = Rig(kafka, f"{topic_prefix}interaction-received", producer, tables)
    try:
        await admin.create_topics([NewTopic(made.topic, PARTITIONS, 1)])
        yield made
    finally:
        await admin.close()
        await producer.stop()
        await tables.close()


async def test_what_is_missing_is_told_until_it_comes_and_a_repeat_changes_nothing(rig: Rig, dsn: str) -> None:
    await rig.send([event(n) for n in (1, 2, 5, 6, 9, 2, 5)])
    async with running(rig.sources(dsn)):
        await rig.read(7)
        [found] = await rig.shown()
        assert (found.tenant, found.source, found.events, found.today) == ("default", "shop/berlin", 5, 5)
        assert (found.gaps, found.missing, found.overdue_gaps, found.overdue_missing) == (2, 4, 2, 4)
        gaps = [Gap(3, 4, NOON + 2 * SECOND), Gap(7, 8, NOON + 4 * SECOND)]
        assert found.streams == [shown.Stream("c", 4, gaps)]
        assert found.last_at == NOON + 4 * SECOND
        await rig.send([event(4), event(8), event(7)])
        await rig.read(10)
    [found] = await rig.shown()
    assert found.streams == [shown.Stream("c", 1, [Gap(3, 3, NOON + 2 * SECOND)])]
    assert (found.events, found.overdue_missing) == (8, 1)


async def test_a_gap_is_no_loss_before_late_events_had_their_time(rig: Rig, dsn: str) -> None:
    await rig.send([event(1), event(3)])
    async with running(rig.sources(dsn)):
        await rig.read(2)
    young, old = [(await rig.shown(seconds))[0] for seconds in (61, 62)]
    assert (young.gaps, young.overdue_gaps, young.overdue_missing) == (1, 0, 0)
    assert (old.gaps, old.overdue_gaps, old.overdue_missing) == (1, 1, 1)


async def test_numbers_of_a_source_span_its_conversations_where_it_is_said_so(rig: Rig, dsn: str) -> None:
    for partition in range(PARTITIONS):
        of_one = [event(n, conversation=f"c{partition}") for n in range(partition, 400, PARTITIONS) if n != 77]
        await rig.send(of_one, partition)
    await rig.send([event(5, source="desk"), event(9, source="desk")])
    await rig.send([event(n, source="pbx") for n in (3, 4)])
    numberings = Numbering("shop/*", "source", 0), Numbering("desk", "nothing"), Numbering("pbx", "conversation", 1)
    async with running(rig.sources(dsn, *numberings)):
        await rig.read(403)
    found = {each.source: each for each in await rig.shown()}
    [stream] = found["shop/berlin"].streams
    assert (stream.conversation, stream.missing, [gap[:2] for gap in stream.gaps]) == ("", 1, [(77, 77)])
    assert found["desk"].streams == []
    assert [[gap[:2] for gap in stream.gaps] for stream in found["pbx"].streams] == [[(1, 2)]]


async def test_what_a_source_says_it_sent_is_compared_with_what_came(rig: Rig, dsn: str) -> None:
    calls = [event(n, queue="support" if n % 2 else "sales") for n in range(10)]
    span = {"type": "call.offered", "since": "2026-01-02T12:00:00Z", "until": "2026-01-02T12:15:00Z"}
    meter = {"type": "call.offered", "queue": "support"}
    await rig.send([
        *calls,
        event(10, occurred_at=NOON - 1), event(11, occurred_at=NOON + 900 * SECOND),  # beside the span
        counted(**span, count="12"), counted(**span, count="5", queue="sales"),
        counted(**meter, total="40", until="2026-01-02T12:00:00Z"),
        counted(**meter, total="46", until="2026-01-02T12:15:00Z"),
        counted(**meter, total="2", until="2026-01-02T12:30:00Z"),  # reloaded
        counted(**meter, total="2", until="2026-01-02T12:45:00Z"),
        counted(type="call.offered", count="1"),  # says nothing
    ])  # fmt: skip
    async with running(rig.sources(dsn)):
        await rig.read(19)
    [found] = await rig.shown(900 + 60)
    told = [(one.queue, (one.until - one.since) // SECOND, one.stated, one.received) for one in found.compared]
    assert sorted(told) == [("", 900, 12, 10), ("sales", 900, 5, 5), ("support", 900, 0, 0), ("support", 900, 6, 5)]
    assert shown.difference(found) == 3
    [too_early] = await rig.shown(900 + 59)
    assert shown.difference(too_early) == 0
    assert not any(one.settled for one in too_early.compared)


async def test_counting_anew_from_the_beginning_gives_the_same_tables(rig: Rig, dsn: str) -> None:
    some = [event(n, conversation=f"c{n % 7}", sequence=n * n % 90) for n in range(300)]
    await rig.send(some)
    await rig.send([event(n, source="pbx", type="call.ended") for n in range(0, 40, 3)], 1)
    async with running(rig.sources(dsn)):
        await rig.read(314)
    await rig.send(some[:50])  # what is a repeat is known after a restart, too
    await rig.send([b"no event", counted(type="call.offered", total="7", until="2026-01-02T12:00:00Z")])
    async with running(rig.sources(dsn)):
        await rig.read(366)
    first = await rig.rows()
    assert {each.source: each.events for each in await rig.shown()} == {"shop/berlin": 301, "pbx": 14}
    await store.reset(rig.tables)
    async with running(rig.sources(dsn)):
        await rig.read(366)
    assert await rig.rows() == first


async def test_a_reader_whose_position_was_moved_counts_nothing_and_ends(rig: Rig, dsn: str) -> None:
    await rig.send([event(1)])
    async with running(rig.sources(dsn)) as task:
        await rig.read(1)
        before = await rig.rows()
        await rig.tables.execute("UPDATE source_positions SET next = 7 WHERE partition = 0")
        await rig.send([event(2)])
        async with asyncio.timeout(30):
            with pytest.raises(Fenced, match="another process"):
                await task
    assert await rig.rows() == before


async def test_what_is_cut_off_between_rows_and_position_is_counted_once(rig: Rig, dsn: str) -> None:
    async with Gateway(dsn) as gateway:
        async with running(rig.sources(gateway.dsn)) as task:
            await rig.send([event(n) for n in range(5)])
            await rig.read(5)
            gateway.down()
            await rig.send([event(n) for n in range(5, 10)])
            await gateway.up()
            await rig.read(10)
            gateway.lose_next_commit()
            await rig.send([event(n) for n in range(10, 15)])
            async with asyncio.timeout(30):
                await gateway.lost.wait()
            await rig.send([event(3), event(16)])
            await rig.read(17)
            assert not task.done()
    [found] = await rig.shown()
    assert (found.events, found.missing) == (16, 1)


async def test_rows_and_position_are_written_together_or_not_at_all(rig: Rig, dsn: str) -> None:
    one, two = await connect(dsn), await connect(dsn)
    place = Place("t", 0)
    await store.take(one, [place])

    async def add(connection: asyncpg.Connection[asyncpg.Record], number: int) -> bool:
        batch = Batch(streams={StreamKey("t", "s", "c"): [Number(number, NOON, None)]})
        async with connection.transaction():
            return not await store.add(connection, batch, {place: Step(0, 1)})

    assert sorted(await asyncio.gather(add(one, 1), add(two, 5))) == [False, True]
    [row] = await rig.tables.fetch("SELECT lowest, highest FROM source_streams")
    assert row["lowest"] == row["highest"]
    # As after a kill between the rows and the end of the transaction.
    cut_off = one.transaction()
    await cut_off.start()
    await store.add(one, Batch(streams={StreamKey("t", "s", "d"): [Number(1, NOON, None)]}), {place: Step(1, 2)})
    await cut_off.rollback()
    assert await rig.tables.fetchval("SELECT count(*) FROM source_streams") == 1
    assert await store.take(two, [place]) == {place: 1}
    await one.close()
    await two.close()


async def test_two_readers_share_the_partitions_of_one_stream(rig: Rig, dsn: str) -> None:
    numbering = Numbering("*", "source")
    one, two = rig.sources(dsn, numbering), rig.sources(dsn, numbering)
    async with running(one) as first, running(two) as second:

        async def joined() -> bool:
            return one.ready and two.ready

        await rig.until(joined)
        for partition in range(PARTITIONS):
            await rig.send([event(n, conversation=str(n)) for n in range(partition, 500, PARTITIONS)], partition)
        await rig.read(500)
        assert not first.done()
        assert not second.done()
    [found] = await rig.shown()
    assert (found.events, found.missing) == (500, 0)


async def test_names_and_numbers_that_no_table_takes_stop_nobody(rig: Rig, dsn: str) -> None:
    long = "".join(uid(n) for n in range(200))  # longer than an index takes, also when PostgreSQL has compressed it
    strange = [
        event(1, source=long), event(2, conversation=long), event(3, tenant="\x00"), event(4, type=long),
        event(2**62), event(-5), event(6, id="no id"), event(7, occurred_at=-(2**60)), event(8, queue=long),
    ]  # fmt: skip
    await rig.send(strange)
    async with running(rig.sources(dsn)) as task:
        await rig.read(len(strange))
        assert not task.done()
    assert sum(each.events for each in await rig.shown()) == len(strange)


async def test_what_is_old_is_removed_and_a_stream_keeps_little(rig: Rig, dsn: str) -> None:
    day = 24 * 3600 * SECOND
    await rig.send([event(2 * n, id=uid(n)) for n in range(MOST_GAPS + 5)])
    async with running(rig.sources(dsn)):
        await rig.read(MOST_GAPS + 5)
        [found] = await rig.shown()
        assert (found.missing, found.streams[0].missing) == (MOST_GAPS + 4, MOST_GAPS + 4)
        late = event(1, source="other", occurred_at=NOON + 36 * day, sequence=None)
        await rig.producer.send_and_wait(
            rig.topic, CODEC.encode(late), partition=0, timestamp_ms=(NOON + 36 * day) // 1000
        )
        await rig.read(MOST_GAPS + 6)
    rows = await rig.rows()
    assert rows["source_streams"] == []
    assert [row[1] for row in rows["source_received"]] == ["other"]
    assert len(rows["sources"]) == 2
