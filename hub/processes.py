"""The long-running processes besides the stages: doors, projector and alerts, each run until it is stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog
import uvicorn

from adapters.amazon_connect.receive import AmazonConnect
from adapters.asterisk_ami.client import AmiClient
from adapters.asterisk_ami.receive import AsteriskAdapter
from adapters.contract import Account, Adapter
from adapters.email.lmtp import MailDoor
from adapters.email.receive import EmailAdapter
from adapters.whatsapp.receive import WhatsApp
from consumers.alerts.alertmanager import AlertmanagerReceiver
from consumers.alerts.consumer import Alerts
from consumers.alerts.receiver import Receiver
from consumers.alerts.webhook import WebhookReceiver
from consumers.projector import Projector, Topics
from consumers.reading import ReadingStopped
from domain.errors import Reason, Unavailable
from domain.outputs import derived_id
from hub import accounts as account_file
from hub.http.app import create_app
from hub.http.doors import HttpAdapter, doors
from hub.wiring import codec_for, collect_seldom, show_metrics, stop_event, until_stopped
from projections.migrate import migrate
from projections.postgres import open_pool, reading
from projections.timeline import store as timeline
from runtime.blobs import FolderBlobs
from runtime.clock import Clock, clock_for
from runtime.failstop import fail_stop
from runtime.publisher import KafkaPublisher
from runtime.publisher import Topics as PublisherTopics
from runtime.settings import Settings

log = structlog.get_logger()
HTTP_ADAPTERS: tuple[HttpAdapter, ...] = (WhatsApp(), AmazonConnect())
OTHER_ADAPTERS: tuple[Adapter, ...] = (EmailAdapter(), AsteriskAdapter())
VISIBLE_POLL = 0.02


def adapters() -> dict[str, Adapter]:
    """Every adapter by its name."""
    return {adapter.name: adapter for adapter in (*HTTP_ADAPTERS, *OTHER_ADAPTERS)}


def accounts_of(settings: Settings) -> Mapping[str, Sequence[Account]]:
    """The configured accounts by adapter name. Raises ``AccountsInvalid``."""
    return account_file.load(settings.accounts, adapters())


@asynccontextmanager
async def publisher_for(settings: Settings, clock: Clock) -> AsyncIterator[KafkaPublisher]:
    """A publisher that puts events on this Kafka."""
    publisher = KafkaPublisher(
        settings.kafka,
        await codec_for(settings),
        PublisherTopics(settings.topic("interaction-received"), settings.topic("interaction-received-dlq")),
        FolderBlobs(settings.blob_folder),
        clock,
        settings.publish_timeout,
        lambda detail: Unavailable(Reason.KAFKA_UNAVAILABLE, detail),
    )
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def serve(settings: Settings) -> None:
    """The HTTP server: doors for webhooks and events, the reading API, and the pages."""
    clock = clock_for(settings.clock_file)
    pool = await open_pool(settings.postgres)

    async def await_visible(ids: Sequence[str], seconds: float) -> bool:
        wanted = [derived_id(each, "entry") for each in ids]
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with reading(pool) as connection:
                    if await timeline.count_of(connection, wanted) == len(wanted):
                        return True
            except Unavailable:
                pass  # the event is accepted; only the confirmation that it is readable has to wait
            await asyncio.sleep(VISIBLE_POLL)
        return False

    async with publisher_for(settings, clock) as publisher:
        taking = doors(
            {adapter.name: adapter for adapter in HTTP_ADAPTERS},
            accounts_of(settings),
            publisher,
            FolderBlobs(settings.blob_folder),
            clock,
            settings,
            await_visible,
        )
        app = create_app(pool, settings, clock, taking)
        config = uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
        )
        try:
            await uvicorn.Server(config).serve()
        finally:
            pool.terminate()


async def receive(adapter: str, settings: Settings) -> None:
    """A door of another protocol than HTTP: ``email`` (LMTP) or ``asterisk-ami`` (a client per account)."""
    clock = clock_for(settings.clock_file)
    configured = accounts_of(settings).get(adapter, [])
    show_metrics(settings)
    async with publisher_for(settings, clock) as publisher:
        blobs = FolderBlobs(settings.blob_folder)
        if adapter == "email":
            recipients = {who: one for one in configured for who in one.options.get("recipients", "").split()}
            door = MailDoor(
                EmailAdapter(), recipients, publisher, blobs, clock,
                settings.lmtp_host, settings.lmtp_port, settings.mail_limit,
            )  # fmt: skip
            await door.start()
            try:
                await stop_event().wait()
            finally:
                await door.stop()
            return
        clients = [
            AmiClient(
                AsteriskAdapter(), one, one.options.get("host", "127.0.0.1"), int(one.options.get("port", "5038")),
                publisher, blobs, clock,
            )
            for one in configured
        ]  # fmt: skip

        async def run() -> None:
            if not clients:
                log.warning("no accounts", adapter=adapter, hint="name them in the file of HUB_ACCOUNTS")
                await asyncio.Event().wait()
            await asyncio.gather(*(client.run() for client in clients))

        try:
            await until_stopped(run)
        finally:
            await asyncio.gather(*(client.stop() for client in clients))


async def project(settings: Settings) -> None:
    """The projector; brings the database to its newest schema first."""
    collect_seldom()
    show_metrics(settings)
    await migrate(settings.postgres)
    projector = Projector(
        settings.kafka,
        settings.postgres,
        await codec_for(settings),
        Topics(*(settings.topic(name) for name in ("timeline-entry-added", "ticket-changed", "sla-verdict-issued"))),
        group=f"{settings.topic_prefix}hub-projector",
        session_timeout=settings.session_timeout,
    )
    try:
        await until_stopped(projector.run)
    except ReadingStopped as error:
        fail_stop(f"projector: {error}")


def receivers_of(settings: Settings) -> list[Receiver]:
    """The receivers of alerts that are set."""
    found: list[Receiver] = []
    if settings.alertmanager:
        found.append(AlertmanagerReceiver(settings.alertmanager, settings.public_url))
    if settings.alert_webhook:
        found.append(WebhookReceiver(settings.alert_webhook, settings.alert_webhook_secret, settings.public_url))
    return found


async def alert(settings: Settings) -> None:
    """The alerts: verdicts go to every receiver that is set."""
    show_metrics(settings)
    await migrate(settings.postgres)
    alerts = Alerts(
        settings.kafka,
        settings.postgres,
        await codec_for(settings),
        settings.topic("sla-verdict-issued"),
        receivers_of(settings),
        clock_for(settings.clock_file),
        jitter=random.random,
        group=f"{settings.topic_prefix}hub-alerts",
        session_timeout=settings.session_timeout,
    )
    try:
        await until_stopped(alerts.run)
    except ReadingStopped as error:
        fail_stop(f"alerts: {error}")


class ParseFailed(msgspec.Struct, frozen=True):
    """A file that an adapter could not read, as ``hub parse`` prints it."""

    file: str
    error: str
    reason: str


def known_adapters() -> Collection[str]:
    """The names that ``hub parse`` and ``hub receive`` take."""
    return sorted(adapters())
