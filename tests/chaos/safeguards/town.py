"""A small hub on a real Kafka and PostgreSQL whose processes are driven by hand, so that each comes exactly as far as a
scenario wants: its network may be shut or broken at one topic, and its partitions dealt to somebody else meanwhile.

A process here is the hub's own stage object with its own clients; only Faust's delivery is done by hand.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
import msgspec
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from consumers.alerts.deliver import Deliverer
from consumers.alerts.inbox import put
from consumers.alerts.webhook import WebhookReceiver
from consumers.projector import Projector, Topics
from domain.identity import Point, customer_id
from hub.policy.applying import configuration_event
from hub.verify.check import Report, check
from hub.verify.evidence import OUTPUTS, Places, committed, gather, read_topic
from hub.wiring import casework_stage, identity_stage
from projections.alerts import store as alerts
from projections.positions.store import Place, Step
from projections.postgres import open_pool
from runtime.appending import ForeignWrite, Item, append, new_producer
from runtime.changelog import entry
from runtime.clock import SECOND
from runtime.settings import Settings
from runtime.topics_admin import apply
from runtime.worker import Worker
from schemas.codec import Codec
from schemas.records import Actor, ContactPoint, InteractionReceived, MailFacts, SlaVerdictIssued
from schemas.topics import topics
from streams.identity import partition_of
from tests.chaos.producer import TENANT, bundle
from tests.chaos.receiver import SECRET, Heard, Mood
from tests.chaos.safeguards.process import PARTITIONS, Network, Process
from tests.chaos.told import check_told

RETENTION_DAYS, SESSION = 1, 6.0
BEGIN = 1_767_600_000 * SECOND
CODEC = Codec()
RECEIVED, IDENTIFIED, CHANGELOG = "interaction-received", "interaction-identified", "casework-changelog"
ENTRIES, TICKETS, VERDICTS = OUTPUTS
WEBHOOK = "webhook"


class HandClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.instant = BEGIN

    def now(self) -> int:
        """The instant in microseconds."""
        return self.instant


class Town:
    """``kafka`` and ``dsn``: where it lies; ``exits``: why processes ended themselves while it was left to settle."""

    def __init__(self, kafka: str, dsn: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.dsn = dsn
        self.clock = HandClock()
        self.producer = producer
        self.settings = Settings(
            kafka=kafka, postgres=dsn, topic_prefix=prefix, partitions=PARTITIONS, session_timeout=SESSION,
            retention_days=RETENTION_DAYS,
        )  # fmt: skip
        self.exits: list[str] = []
        self.heard: list[Heard] = []
        self.told = False
        self.left_alone = False  # what its own processes did not do stays undone
        self._numbers = count(1)

    def name(self, topic: str) -> str:
        """A topic's name on this Kafka."""
        return self.settings.topic(topic)

    async def log(self, topic: str, partition: int) -> list[ConsumerRecord]:
        """All that stands in a partition; ``topic`` is its full name."""
        return (await read_topic(self.kafka, topic))[partition]

    def who(self, partition: int, number: int = 0) -> str:
        """The address of a customer whose events go to this partition."""
        every = (f"customer-{each}@example.com" for each in count())
        mine = (each for each in every if partition_of(self.customer(each), PARTITIONS) == partition)
        return next(each for place, each in enumerate(mine) if place == number)

    @staticmethod
    def customer(address: str) -> str:
        """The id of the customer who begins with this address."""
        return customer_id(Point(TENANT, "email", address))

    def mail(self, who: str, kind: str = "email.received") -> InteractionReceived:
        """An event of the conversation with somebody; the clock goes on by a millisecond."""
        self.clock.instant += 1000
        number = next(self._numbers)
        return InteractionReceived(
            id=str(uuid.UUID(int=number, version=4)), type=kind, tenant=TENANT, source="email/main", channel="email",
            direction="inbound" if kind == "email.received" else "outbound", occurred_at=self.clock.instant,
            received_at=self.clock.instant, conversation=f"email:{who}",
            contact_points=[ContactPoint("email", who, verified=True)], actor=Actor("customer"),
            subject="Where is my order?", text=f"number {number}",
            facts=MailFacts(message_id=f"<{number}@example.com>"),
        )  # fmt: skip

    async def tell(self, *events: InteractionReceived) -> None:
        """Put events on the log of what was received."""
        items = [Item(each.conversation.encode(), CODEC.encode(each)) for each in events]
        await append(self.producer, self.name(RECEIVED), 0, items)

    async def mails(self, who: str, number: int = 1) -> None:
        """So many mails of one customer, as received and as identified."""
        await self.tell(*(self.mail(who) for _ in range(number)))
        await self.identify()

    async def promise(self) -> None:
        """Bring policies into force."""
        await self.tell(configuration_event(bundle("3s", "9s"), TENANT, self.clock.now()))

    async def committed(self, group: str) -> Places:
        """Where a group stands; on a fresh broker nobody knows that at first."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await committed(self.kafka, group)
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    await asyncio.sleep(0.2)

    async def commit(self, group: str, places: dict[TopicPartition, int]) -> None:
        """Set a group's offsets, as an operator may."""
        if places:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, group_id=group, enable_auto_commit=False)
            await consumer.start()
            try:
                consumer.assign(list(places))
                await consumer.commit(places)
            finally:
                await consumer.stop()

    @asynccontextmanager
    async def identity(self) -> AsyncIterator[Process]:
        """An identity worker."""
        async with identity_stage(self.settings, self.clock) as relay, self._process(relay) as process:
            yield process

    @asynccontextmanager
    async def casework(self) -> AsyncIterator[Process]:
        """A casework worker."""
        async with self._process(casework_stage(self.settings, Codec(), self.clock)) as process:
            yield process

    @asynccontextmanager
    async def _process(self, worker: Worker) -> AsyncIterator[Process]:
        producer, _ = await worker.clients()
        network = Network(producer)
        worker._producer = network
        try:
            yield Process(self, worker, network)
        finally:
            await worker.close()

    async def identify(self) -> None:
        """Let an identity worker do what there is, and commit."""
        async with self.identity() as process:
            await process.take(0)
            await process.commit()

    async def work(self, do: Callable[[Process], Awaitable[None]] = Process.rest) -> None:
        """Let a casework worker do something (default: all there is); one that ends itself is started anew."""
        for _ in range(8):
            async with self.casework() as process:
                try:
                    await do(process)
                    return
                except (ForeignWrite, KafkaError) as error:
                    self.exits.append(repr(error))
        raise TimeoutError(f"casework ended itself again and again: {self.exits}")

    async def project(self) -> None:
        """Let the projector write what is new."""
        named = Topics(*(self.name(topic) for topic in OUTPUTS))
        projector = Projector(self.kafka, self.dsn, CODEC, named)
        async with self.connection() as connection:
            places = [Place(topic, partition) for topic in named.all() for partition in range(PARTITIONS)]
            held = await projector.positions(connection, places)
            new, steps = {}, {}
            for place in places:
                found = [each for each in await self.log(*place) if each.offset >= held[place]]
                if found:
                    new[place], steps[place] = found, Step(held[place], found[-1].offset + 1)
            await projector.write(connection, await projector.decode(new), steps)

    async def alert(self) -> None:
        """Let the alerts' inbox read what is new."""
        topic = self.name(VERDICTS)
        async with self.connection() as connection:
            for partition in range(PARTITIONS):
                at = (await alerts.positions(connection, topic, [partition]))[partition]
                found = [each for each in await self.log(topic, partition) if each.offset >= at]
                read = [CODEC.decode(each.value or b"") for each in found]
                verdicts = [each for each in read if isinstance(each, SlaVerdictIssued)]
                step = {partition: alerts.Move(at, found[-1].offset + 1)} if found else {}
                await put(connection, topic, step, verdicts, [WEBHOOK], self.clock.now())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection to its database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def deliver(self) -> None:
        """Let whoever is on call be told of what is in the inbox."""
        self.told = True
        async with self._on_call() as url, await open_pool(self.dsn, most=4) as pool:
            receiver = WebhookReceiver(url, SECRET, name=WEBHOOK)
            working = asyncio.create_task(Deliverer(receiver, pool, self.clock, lambda: 0.0).run())
            async with asyncio.timeout(20):
                while not working.done():
                    async with pool.acquire() as connection:
                        if (await alerts.backlog(connection, WEBHOOK)).waiting == 0:
                            break
                    await asyncio.wait([working], timeout=0.05)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await receiver.close()

    @asynccontextmanager
    async def _on_call(self) -> AsyncIterator[str]:
        async def hear(request: web.Request) -> web.Response:
            body = await request.read()
            told = request.headers["webhook-id"]
            self.heard.append(Heard(time.time(), told, Mood.WELL, True, msgspec.Raw(body)))
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/alerts", hear)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
        finally:
            await runner.cleanup()

    async def compact(self) -> None:
        """Let Kafka compact the changelog as it does after an hour: of each key the last record stays."""
        topic = self.name(CHANGELOG)
        await compact_soon(self.kafka, topic)
        for partition in range(PARTITIONS):  # what is written last is never compacted
            await append(self.producer, topic, partition, [entry(b"nobody", 0, None)])
            await asyncio.sleep(0.2)
            await append(self.producer, topic, partition, [entry(b"nobody", 0, None)])
        async with asyncio.timeout(60):
            while True:
                if await self._compacted(topic):
                    return
                await asyncio.sleep(0.2)

    async def _compacted(self, topic: str) -> bool:
        for records in (await read_topic(self.kafka, topic)).values():
            keys = [each.key for each in records if each.key != b"nobody"]
            if len(keys) != len(set(keys)):
                return False
        return True

    async def settle(self) -> None:
        """Leave it alone until everything is done, with time going by until no clock runs any more."""
        if self.left_alone:
            return
        await self.identify()

        async def to_the_end(process: Process) -> None:
            for seconds in (0, 4, 10, 30):
                self.clock.instant += seconds * SECOND
                await process.rest()

        await self.work(to_the_end)
        await self.project()
        await self.alert()
        if self.told:
            await self.deliver()

    async def _states(self) -> dict[str, str]:
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT alert::text, state FROM alert_deliveries")
        return {row["alert"]: row["state"] for row in rows}

    async def judge(self) -> Report:
        """Recompute, and compare."""
        evidence = await gather(self.kafka, self.dsn, self.settings.topic_prefix, PARTITIONS)
        report = check(evidence, RETENTION_DAYS)
        if self.told:
            report.doubled += check_told(evidence, self.heard, await self._states(), (), report).doubled
        return report


@asynccontextmanager
async def town_on(kafka: str, dsn: str, prefix: str) -> AsyncIterator[Town]:
    """A town with its topics, in a database that has the tables."""
    producer = new_producer(kafka)
    await producer.start()
    try:
        await apply(kafka, topics(), prefix, PARTITIONS, 1)
        yield Town(kafka, dsn, prefix, producer)
    finally:
        await producer.stop()


async def compact_soon(kafka: str, topic: str) -> None:
    """Let the broker compact a topic within a second, as if an hour had gone by."""
    config = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        broker = str(next(iter(admin._client.cluster.brokers())).nodeId)
        for kind, name, values in (
            (ConfigResourceType.BROKER, broker, {"log.cleaner.backoff.ms": "200"}),
            (ConfigResourceType.TOPIC, topic, config),
        ):
            for answer in await admin.alter_configs([ConfigResource(kind, name, values)]):
                for code, message, *_ in answer.resources:
                    if code:
                        raise RuntimeError(f"{name}: {message}")
    finally:
        await admin.close()
