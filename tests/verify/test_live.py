"""A hub at work: compared while events come in and a worker is killed, then rebuilt twice, and going on afterwards."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from hub.local.process import free_ports
from hub.rebuild.command import rebuild
from hub.verify.command import verify
from hub.verify.digest import digest_of
from hub.verify.evidence import OUTPUTS, ends_of
from projections.migrate import migrate
from runtime.appending import Item, append, new_producer
from runtime.clock import MovableClock
from runtime.settings import load
from runtime.topics_admin import apply
from schemas.topics import topics
from streams.identity import partition_of
from tests.chaos.catching_up import caught_up
from tests.chaos.herd import Herd
from tests.chaos.producer import TENANT, Story
from tests.chaos.receiver import SECRET, read_heard

PARTITIONS = 2
TWO_DAYS = 2 * 86_400.0
STAGES = ("identity", "casework", "projector", "alerts")
COMMANDS = {
    "identity": ("hub", "worker", "identity"),
    "casework": ("hub", "worker", "casework"),
    "projector": ("hub", "project"),
    "alerts": ("hub", "alert"),
}
OUTCOMES = "SELECT DISTINCT outcome FROM sla_verdicts"


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(600)
async def test_under_traffic_nothing_differs_and_rebuilt_it_is_the_same(
    kafka: str, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    await apply(kafka, topics(), topic_prefix, PARTITIONS, 1)
    await migrate(database)
    clock, (port,) = MovableClock(tmp_path / "clock"), free_ports(1)
    environment = {
        "HUB_KAFKA": kafka, "HUB_POSTGRES": database, "HUB_TOPIC_PREFIX": topic_prefix, "HUB_TENANT": TENANT,
        "HUB_PARTITIONS": str(PARTITIONS), "HUB_SESSION_TIMEOUT": "6", "HUB_RETENTION_DAYS": "1",
        "HUB_CLOCK_FILE": str(tmp_path / "clock"), "HUB_ALERTMANAGER": "", "HUB_ALERT_WEBHOOK_SECRET": SECRET,
        "HUB_ALERT_WEBHOOK": f"http://127.0.0.1:{port}/alerts",
    }  # fmt: skip
    settings = load(environment)
    receiver = ("tests.chaos.receiver", str(tmp_path), str(port))
    herd = Herd(COMMANDS | {"receiver": receiver}, environment, tmp_path)
    story, producer = Story(5, clock, customers=60), new_producer(kafka)

    async def told(count: int) -> None:
        """So many records, ten at a time, as fast as the machine takes them and not faster than 200 a second."""
        for _ in range(count // 10):
            for key, value in (story.next() for _ in range(10)):
                where = partition_of(key.decode(), PARTITIONS)
                await append(producer, settings.topic("interaction-received"), where, [Item(key, value)])
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.05))])

    async def configured(first_response: str, resolution: str) -> None:
        key, value = story.configuration(first_response, resolution)
        await append(producer, settings.topic("interaction-received"), 0, [Item(key, value)])

    async def quiet() -> None:
        late = await caught_up(kafka, database, topic_prefix, settings.retention_days, clock, 150.0, print)
        assert late is None, late

    await producer.start()
    herd.start("receiver", *STAGES)
    try:
        await configured("3s", "9s")
        telling = asyncio.create_task(told(1200))
        clean = 0
        while not telling.done():
            found = await verify(settings)
            assert found.findings.clean, found.findings.lines
            clean += 1
            if "casework" in herd.names():
                herd.kill("casework")
        await telling
        assert clean >= 2
        await quiet()
        story.forget()
        clock.move(TWO_DAYS)  # what is over leaves the state
        await configured("2s", "7s")
        await told(200)
        await quiet()
        await herd.retire("casework")
        await herd.retire("projector")
        live, heard = await digest_of(database), len(read_heard(tmp_path))
        ends = await ends_of(kafka, [settings.topic(name) for name in OUTPUTS])
        connection = await asyncpg.connect(database)
        outcomes = {row[0] for row in await connection.fetch(OUTCOMES)}
        alerted = await connection.fetch("SELECT * FROM alert_deliveries ORDER BY 1, 2")
        assert outcomes >= {"warned", "met", "breached", "retracted", "ended"}
        assert heard > 10
        for _ in range(2):
            said = io.StringIO()
            done = await rebuild(settings, Console(file=said))
            assert done.digest == live
            assert sum(done.count.values()) == 0, said.getvalue()
        assert await ends_of(kafka, [settings.topic(name) for name in OUTPUTS]) == ends
        herd.start("casework", "projector")
        await told(50)
        await quiet()
        found = await verify(settings)
        assert found.findings.clean, found.findings.lines
        assert found.findings.compared["alerts"] > 10
        alerted_now = await connection.fetch("SELECT * FROM alert_deliveries ORDER BY 1, 2")
        known = {(row["alert"], row["receiver"]): row for row in alerted_now}
        assert all(known[row["alert"], row["receiver"]]["attempts"] == row["attempts"] for row in alerted)
        await connection.close()
    finally:
        await producer.stop()
        await herd.end()
