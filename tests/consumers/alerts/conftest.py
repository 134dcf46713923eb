"""An inbox in a database of its own, a receiver that is a real HTTP server, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from consumers.alerts.deliver import Deliverer
from consumers.alerts.inbox import put
from consumers.alerts.receiver import Receiver
from domain.alerts import Reading
from projections.alerts import store
from projections.alerts.store import AlertView, Move
from projections.migrate import migrate
from projections.postgres import open_pool
from schemas.records import SlaVerdictIssued

if TYPE_CHECKING:
    from projections.postgres import Pool

SECOND = 1_000_000
NOW = 1_772_719_200 * SECOND  # 2026-03-05 14:00 UTC
HOUR = 3600 * SECOND
SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHM="
TOPIC = "sla-verdict-issued"


def ticket(number: int) -> str:
    """The id of the ticket with this number."""
    return f"0f1e2d3c-0000-5000-8000-{number:012d}"


def verdict(
    outcome: str,
    revision: int = 1,
    number: int = 1,
    *,
    episode: int = 0,
    threshold: int | None = None,
    quiet: str | None = None,
    ended_at: int | None = None,
    due_at: int = NOW - 1,
) -> SlaVerdictIssued:
    """A verdict on the first response promised within an hour on ticket ``number``."""
    return SlaVerdictIssued(
        id=f"00000000-{number % 10000:04d}-5000-8000-{revision:012d}", tenant="default", customer=ticket(0),
        ticket=ticket(number), metric="first_response", cycle=1, outcome=outcome, revision=revision, episode=episode,
        target=HOUR, elapsed=HOUR + 1, started_at=NOW - HOUR, judged_at=NOW, policy="standard", policy_version=3,
        calendar="weekdays", calendar_digest="d", boundary="next_open", cause="time", due_at=due_at,
        threshold=threshold, ended_at=ended_at, priority="high", team="support", organisation="vendor-a", quiet=quiet,
    )  # fmt: skip


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += round(seconds * SECOND)


class Heard(msgspec.Struct):
    """One request as it arrived: its webhook id, its headers and its body, and the decoded JSON."""

    id: str
    headers: dict[str, str]
    body: bytes
    json: Any  # whatever was posted

    @property
    def type(self) -> str:
        """``sla.breached`` and so on, from a webhook of the hub."""
        return str(self.json["type"])

    @property
    def ticket(self) -> str:
        return str(self.json["data"]["verdict"]["ticket"])


Behaviour = Callable[[Heard, web.Request], Awaitable[web.Response]]


async def accept(heard: Heard, request: web.Request) -> web.Response:
    """Say 204."""
    return web.Response(status=204)


def answer(status: int) -> Behaviour:
    """Say ``status``."""

    async def behave(heard: Heard, request: web.Request) -> web.Response:
        headers = {"location": str(request.url)} if status // 100 == 3 else None
        return web.Response(status=status, text="said by the test", headers=headers)

    return behave


async def drop(heard: Heard, request: web.Request) -> web.Response:
    """Take the request, then cut the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(heard: Heard, request: web.Request) -> web.Response:
    """Take the request and never answer."""
    await asyncio.Event().wait()
    return web.Response()


class Server:
    """Hears every POST; answers the first ones as ``script`` says, one entry each, and all later ones by ``then``."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.script: list[Behaviour] = []
        self.then: Behaviour = accept
        self.url = ""
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{path:.*}", self._hear)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/alerts"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        heard = Heard(headers.get("webhook-id", ""), headers, body, msgspec.json.decode(body))
        async with self._changed:
            self.heard.append(heard)
            self._changed.notify_all()
        behave = self.script.pop(0) if self.script else self.then
        return await behave(heard, request)

    async def until(self, count: int, seconds: float = 20.0) -> list[Heard]:
        """Wait until so many requests were heard; they are returned."""
        return await self.until_true(lambda: len(self.heard) >= count, seconds)

    async def until_true(self, true: Callable[[], bool], seconds: float = 20.0) -> list[Heard]:
        """Wait until it is true of what was heard."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"heard {len(self.heard)} requests in {seconds} s: {self.heard[:5]}") from None
        return self.heard

    def verify(self) -> None:
        """Every request bears a good signature, by the library's own check."""
        for heard in self.heard:
            Webhook(SECRET).verify(heard.body, heard.headers)


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until a question to the database is answered with yes."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - a database tells nobody of an event
            await asyncio.sleep(0.01)


@dataclass
class Inbox:
    """An inbox that is filled as the consumer does it, and what stands in it."""

    pool: Pool
    dsn: str
    clock: HandClock
    names: tuple[str, ...] = ("webhook",)
    offset: int = 0
    deliverers: list[Deliverer] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _receivers: list[Receiver] = field(default_factory=list)

    async def put(self, *verdicts: SlaVerdictIssued) -> list[Reading]:
        """Read these verdicts as the next batch."""
        async with self.pool.acquire() as connection:
            await store.positions(connection, TOPIC, [0])
            step = Move(self.offset, self.offset + len(verdicts))
            readings = await put(connection, TOPIC, {0: step}, verdicts, self.names, self.clock.now())
        self.offset = step.next
        for deliverer in self.deliverers:
            deliverer.wake()
        return readings

    def deliver(self, receiver: Receiver, jitter: float = 0.0) -> Deliverer:
        """Start a deliverer; it ends with the test, or by ``stop``."""
        deliverer = Deliverer(receiver, self.pool, self.clock, lambda: jitter)
        self.deliverers.append(deliverer)
        self._receivers.append(receiver)
        self._tasks.append(asyncio.create_task(deliverer.run()))
        return deliverer

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.move(seconds)
        for deliverer in self.deliverers:
            deliverer.wake()

    async def views(self, number: int = 1) -> list[AlertView]:
        async with self.pool.acquire() as connection:
            return await store.of_ticket(connection, ticket(number))

    async def until(self, number: int = 1, **values: object) -> AlertView:
        """Wait until a row of this ticket has these values."""
        found: list[AlertView] = []

        async def there() -> bool:
            rows = await self.views(number)
            found[:] = [row for row in rows if all(getattr(row, name) == value for name, value in values.items())]
            return bool(found)

        try:
            await eventually(there)
        except TimeoutError:
            raise AssertionError(f"no row has {values}: {await self.views(number)}") from None
        return found[0]

    async def stop(self) -> None:
        """End the deliverers, as an exit on request does."""
        for task in self._tasks:
            task.cancel()
        ended: Sequence[BaseException | None] = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.deliverers.clear()
        for receiver in self._receivers:
            await receiver.close()
        for end in ended:
            if end is not None and not isinstance(end, asyncio.CancelledError):
                raise end


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def inbox(database: str, clock: HandClock) -> AsyncIterator[Inbox]:
    await migrate(database)
    pool = await open_pool(database)
    made = Inbox(pool, database, clock)
    try:
        yield made
    finally:
        try:
            await made.stop()
        finally:
            pool.terminate()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()
