"""``hub count`` as a process that is killed, its metrics, and what ``hub sources`` shows afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.sources import Labels
from hub.sources import show_in_metrics
from projections.migrate import migrate
from projections.positions.store import Place, Step
from projections.postgres import open_pool
from projections.sources import store
from projections.sources.store import Batch, SourceKey, StreamKey, Sum
from runtime import metrics
from tests.cli.running import hub, inside
from tests.consumers.counting import Rig, event

pytestmark = pytest.mark.postgres
SECOND = 1_000_000


def at_now() -> int:
    return round(datetime.now(UTC).timestamp() * SECOND)


@asynccontextmanager
async def counting(folder: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, killed at the end of the block if it lives."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    given = {f"HUB_{name.upper()}": value for name, value in settings.items()}
    with (folder / "count.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub", "count", env=kept | given, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()


@pytest.mark.kafka
async def test_a_process_that_is_killed_goes_on_where_it_was(
    kafka: str, topic_prefix: str, database: str, tmp_path: Path, free_tcp_port: int
) -> None:
    await migrate(database)
    topic = f"{topic_prefix}interaction-received"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    settings = {
        "kafka": kafka, "postgres": database, "topic_prefix": topic_prefix, "metrics_port": str(free_tcp_port),
        "sequences": "shop/*=source:0", "source_grace": "0", "session_timeout": "6",
    }  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    tables = await asyncpg.connect(database)
    rig = Rig(kafka, topic, producer, tables)
    try:
        for life in range(3):
            async with counting(tmp_path, **settings):
                some = [event(n) for n in range(1000 * life, 1000 * life + 1000) if n != 1234]
                for partition in range(2):
                    await rig.send(some[partition::2], partition)
                await rig.read(1000 * life + 300)
        async with counting(tmp_path, **settings):
            await rig.read(2999)

            async def measured() -> bool:
                try:
                    async with httpx.AsyncClient() as client:
                        shown = (await client.get(f"http://127.0.0.1:{free_tcp_port}/metrics")).text
                except httpx.TransportError:
                    return False
                return 'hub_source_gaps{source="shop/berlin",tenant="default"} 1.0' in shown

            await rig.until(measured)
    finally:
        await tables.close()
        await producer.stop()
    told = json.loads(hub("sources", "--json", postgres=database, source_grace="0").out)
    assert (told["events"], told["missing"], told["overdue_missing"]) == (2999, 1, 1)
    assert [gap[:2] for gap in told["streams"][0]["gaps"]] == [[1234, 1234]]


async def fill(dsn: str, count: int) -> int:
    """Tables of so many sources, each with a gap; the instant at which they sent."""
    at = at_now()
    batch = Batch(
        sums={SourceKey("default", f"shop/{n:03}"): Sum(2, at + n, at + n, at) for n in range(count)},
        streams={
            StreamKey("default", f"shop/{n:03}", "order 7"): [
                store.Number(1, at - SECOND, None), store.Number(5, at - SECOND, None)
            ]
            for n in range(count)
        },
    )  # fmt: skip
    connection = await asyncpg.connect(dsn)
    await store.take(connection, [Place("t", 0)])
    await store.add(connection, batch, {Place("t", 0): Step(0, 1)})
    await connection.close()
    return at


async def test_sources_are_shown_for_people(database: str) -> None:
    await migrate(database)
    nothing = await asyncio.to_thread(inside, "sources", postgres=database)
    assert "no source has sent anything yet" in nothing.out
    await fill(database, 1)
    shown = await asyncio.to_thread(inside, "sources", postgres=database)
    words = " ".join(shown.out.split())
    assert "default shop/000" in words
    assert "shop/000 order 7 3 2-4" in words
    assert "may still come" in words
    shown = await asyncio.to_thread(inside, "sources", "--tenant", "default", postgres=database, source_grace="0")
    assert "lost?" in shown.out
    shown = await asyncio.to_thread(inside, "sources", "--tenant", "nobody", postgres=database)
    assert "no source" in shown.out


@contextmanager
def empty_metrics() -> Iterator[None]:
    metrics.source_gaps.clear()
    metrics.source_last_event.clear()
    yield
    metrics.source_gaps.clear()
    metrics.source_last_event.clear()


async def test_sources_beyond_the_first_share_one_label(database: str) -> None:
    await migrate(database)
    at = await fill(database, 5)
    pool = await open_pool(database, most=1)
    with empty_metrics():
        await show_in_metrics(pool, Labels(3), at, 0)
        shown = {sample.labels["source"]: sample.value for sample in next(iter(metrics.source_gaps.collect())).samples}
        assert shown == {"shop/000": 1, "shop/001": 1, "shop/002": 1, "other": 2}
    await pool.close()


async def test_a_reader_that_is_behind_makes_no_gaps(database: str) -> None:
    await migrate(database)
    at = await fill(database, 1)
    pool = await open_pool(database, most=1)
    with empty_metrics():
        await show_in_metrics(pool, Labels(), at, 0, behind=100_000)
        await show_in_metrics(pool, Labels(), at, 0, ready=False)
        assert next(iter(metrics.source_gaps.collect())).samples == []
        assert len(next(iter(metrics.source_last_event.collect())).samples) == 1
    await pool.close()
