"""From the topic to the receiver, through real Kafka, PostgreSQL and Alertmanager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.alerts import AlertmanagerReceiver, Alerts, Receiver, WebhookReceiver
from consumers.reading import ReadingStopped
from hub.local.alertmanager import Alertmanager
from projections.alerts import store
from projections.migrate import migrate
from projections.postgres import connect
from runtime.clock import SystemClock
from schemas.codec import Codec
from tests.consumers.alerts.conftest import (
    SECOND,
    SECRET,
    HandClock,
    Server,
    drop,
    eventually,
    ticket,
    verdict,
)

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
CODEC = Codec()


class Log:
    """The verdicts' topic, of one partition, and what is written to it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)

    async def start(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.topic, 1, 1)])
        finally:
            await admin.close()
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def write(self, *values: bytes) -> None:
        for value in values:
            await self._producer.send(self.topic, value)
        await self._producer.flush()

    async def issue(self, *verdicts: Any) -> None:
        await self.write(*(CODEC.encode(each) for each in verdicts))


@pytest.fixture
async def log(kafka: str, topic_prefix: str) -> AsyncIterator[Log]:
    made = Log(kafka, f"{topic_prefix}sla-verdict-issued")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def tables(database: str) -> str:
    await migrate(database)
    return database


@asynccontextmanager
async def alerting(
    log: Log, dsn: str, receivers: Sequence[Receiver], clock: SystemClock | HandClock | None = None
) -> AsyncIterator[Alerts]:
    alerts = Alerts(
        log.bootstrap, dsn, CODEC, log.topic, receivers, clock or SystemClock(), jitter=lambda: 0.0, group=log.topic
    )
    task = asyncio.create_task(alerts.run())
    try:
        yield alerts
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def position(dsn: str, topic: str) -> int:
    connection = await connect(dsn)
    try:
        return (await store.positions(connection, topic, [0]))[0]
    finally:
        await connection.close()


async def until_reason(dsn: str, reason: str, number: int = 1) -> None:
    """Wait until an attempt to tell of this ticket's alert is written down as failed, and why."""

    async def there() -> bool:
        connection = await connect(dsn)
        try:
            return any(row.reason == reason for row in await store.of_ticket(connection, ticket(number)))
        finally:
            await connection.close()

    await eventually(there)


def webhook(server: Server) -> WebhookReceiver:
    return WebhookReceiver(server.url, SECRET)


async def test_a_verdict_on_the_topic_reaches_the_webhook_and_is_read_once(
    log: Log, tables: str, server: Server
) -> None:
    async with alerting(log, tables, [webhook(server)]):
        await log.issue(verdict("breached"), verdict("met", number=2), verdict("breached"))
        await server.until(1)
        await log.issue(verdict("retracted", 2))
        await server.until(2)
    server.verify()
    async with alerting(log, tables, [webhook(server)]):
        await log.issue(verdict("breached", number=3))
        await server.until(3)
    assert [(heard.type, heard.ticket) for heard in server.heard] == [
        ("sla.breached", ticket(1)), ("sla.resolved", ticket(1)), ("sla.breached", ticket(3)),
    ]  # fmt: skip
    assert await position(tables, log.topic) == 5


async def test_what_can_not_be_read_is_passed_over(log: Log, tables: str, server: Server) -> None:
    async with alerting(log, tables, [webhook(server)]):
        await log.write(b"", b"no record", CODEC.encode(verdict("breached"))[:-3])
        await log.issue(verdict("breached", number=2))
        (heard,) = await server.until(1)
    assert heard.ticket == ticket(2)


async def test_a_connection_that_drops_after_the_receiver_accepted_brings_the_same_id(
    log: Log, tables: str, server: Server
) -> None:
    clock = HandClock()
    server.script = [drop]
    async with alerting(log, tables, [webhook(server)], clock):
        await log.issue(verdict("breached"))
        await until_reason(tables, "dropped")
        clock.move(1)
        await server.until(2)
    assert server.heard[0].id == server.heard[1].id


async def test_postgres_sessions_that_end_are_replaced(log: Log, tables: str, server: Server) -> None:
    async with alerting(log, tables, [webhook(server)]):
        await log.issue(verdict("breached"))
        await server.until(1)
        connection = await connect(tables)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.close()
        await log.issue(verdict("breached", number=2))
        await server.until(2)
    assert [heard.ticket for heard in server.heard] == [ticket(1), ticket(2)]


async def test_another_topic_of_the_same_name_stops_it(log: Log, tables: str, server: Server) -> None:
    connection = await connect(tables)
    await connection.execute("INSERT INTO alert_positions VALUES ($1, 0, 7)", log.topic)
    await connection.close()
    alerts = Alerts(
        log.bootstrap, tables, CODEC, log.topic, [webhook(server)], SystemClock(), jitter=lambda: 0.0, group=log.topic
    )
    with pytest.raises(ReadingStopped, match="7 was read already"):
        await alerts.run()


async def test_two_receivers_of_one_name_are_refused(server: Server) -> None:
    with pytest.raises(ValueError, match="name them apart"):
        Alerts("", "", CODEC, "", [webhook(server), webhook(server)], SystemClock(), jitter=lambda: 0.0)


def paged(server: Server, status: str) -> list[dict[str, Any]]:
    """The alerts that Alertmanager notified its own receiver of, with this status."""
    return [alert for heard in server.heard for alert in heard.json["alerts"] if alert["status"] == status]


async def test_alertmanager_pages_for_a_breach_and_resolves_it_when_it_is_retracted(
    log: Log, tables: str, server: Server, alertmanager: Callable[[str], Alertmanager]
) -> None:
    peer = await asyncio.to_thread(alertmanager, server.url)
    receiver = AlertmanagerReceiver(peer.url, "https://hub.example")
    now = SystemClock().now()
    async with alerting(log, tables, [receiver]):
        await log.issue(verdict("breached", due_at=now - 5 * SECOND), verdict("warned", 1, 2, threshold=75))
        await server.until_true(lambda: len(paged(server, "firing")) >= 2)
        await log.issue(verdict("retracted", 2))
        await server.until_true(lambda: len(paged(server, "resolved")) >= 1)
    firing = {alert["labels"]["alertname"]: alert for alert in paged(server, "firing")}
    assert firing["SlaBreached"]["labels"]["ticket"] == ticket(1)
    assert firing["SlaBreached"]["labels"]["severity"] == "critical"
    assert firing["SlaBreached"]["generatorURL"] == f"https://hub.example/tickets/{ticket(1)}"
    assert "owned by team support of vendor-a" in firing["SlaBreached"]["annotations"]["summary"]
    assert firing["SlaWarning"]["labels"]["threshold"] == "75"
    (resolved,) = paged(server, "resolved")
    assert resolved["labels"] == firing["SlaBreached"]["labels"]
    assert resolved["annotations"]["reason"] == "retracted"


async def test_where_the_hubs_clock_runs_ahead_alertmanager_still_resolves(
    log: Log, tables: str, server: Server, alertmanager: Callable[[str], Alertmanager]
) -> None:
    peer = await asyncio.to_thread(alertmanager, server.url)
    clock = HandClock(SystemClock().now() + 6 * 3600 * SECOND)
    async with alerting(log, tables, [AlertmanagerReceiver(peer.url)], clock):
        await log.issue(verdict("breached", due_at=clock.now()))
        await server.until_true(lambda: len(paged(server, "firing")) >= 1)
        await log.issue(verdict("retracted", 2))
        await server.until_true(lambda: len(paged(server, "resolved")) >= 1)


async def test_an_alertmanager_that_restarted_is_told_again_of_what_is_open(
    log: Log, tables: str, server: Server, alertmanager: Callable[[str], Alertmanager]
) -> None:
    first = await asyncio.to_thread(alertmanager, server.url)
    clock = HandClock()
    async with alerting(log, tables, [AlertmanagerReceiver(first.url)], clock):
        await log.issue(verdict("breached"))
        await server.until_true(lambda: len(paged(server, "firing")) >= 1)
    await asyncio.to_thread(first.stop)
    second = await asyncio.to_thread(alertmanager, server.url)
    async with alerting(log, tables, [AlertmanagerReceiver(second.url)], clock):
        clock.move(60)
        await server.until_true(lambda: len(paged(server, "firing")) >= 2)


async def test_while_alertmanager_is_down_alerts_wait_and_then_all_arrive(
    log: Log, tables: str, server: Server, other_server: Server, alertmanager: Callable[[str], Alertmanager]
) -> None:
    peer = await asyncio.to_thread(alertmanager, server.url)
    await asyncio.to_thread(peer.stop)
    clock = HandClock()
    async with alerting(log, tables, [AlertmanagerReceiver(peer.url), webhook(other_server)], clock):
        await log.issue(*(verdict("breached", number=number) for number in range(20)))
        await other_server.until(20)
        await until_reason(tables, "unreachable", 19)
        await asyncio.to_thread(peer.start)
        clock.move(60)
        await server.until_true(lambda: len({a["labels"]["ticket"] for a in paged(server, "firing")}) == 20)
