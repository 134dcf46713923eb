"""The hub's own processes as they run on one machine, under its supervisor, for as long as something is measured."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types

from bench.servers import Servers, database
from hub.everything import STAGES
from hub.local.process import free_ports
from hub.policy.applying import configuration_event
from hub.processes import publisher_for
from hub.supervisor import Supervisor
from projections.sql import load
from runtime.clock import SystemClock
from runtime.settings import Settings
from runtime.topics_admin import apply
from schemas.topics import topics

PATIENCE = 60.0
EVERYBODY = tuple(STAGES)
_RUNNING = load(__file__, "clocks_running")
_CONFIGURATIONS = load(__file__, "configurations")


class Hub:
    """The running hub: its settings, a client with the token, and a connection to its read model."""

    def __init__(
        self, settings: Settings, http: aiohttp.ClientSession, reading: asyncpg.Connection[asyncpg.Record]
    ) -> None:
        self.settings = settings
        self.url = settings.public_url
        self.http = http
        self.reading = reading
        self._supervisor: Supervisor | None = None
        self._names: Sequence[str] = ()

    def watch(self, supervisor: Supervisor, names: Sequence[str]) -> None:
        """Remember whose processes these are."""
        self._supervisor, self._names = supervisor, names

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far, by process."""
        found: dict[str, float] = {}
        for name, process in self._processes():
            times = process.cpu_times()
            found[name] = times.user + times.system
        return found

    def resident(self) -> dict[str, int]:
        """Bytes of memory that each process holds now."""
        return {name: int(process.memory_info().rss) for name, process in self._processes()}

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for name in self._names:
            pid = self._supervisor.pid(name) if self._supervisor else None
            if pid is not None:
                yield name, psutil.Process(pid)

    @property
    def restarts(self) -> int:
        """How often a process had to be started anew; a figure with restarts in it is worth nothing."""
        return self._supervisor.restarts if self._supervisor else 0

    async def configure(self, bundle: object) -> None:
        """Put a bundle of policies on the log; processes that start later find it there first."""
        clock = SystemClock()
        async with publisher_for(self.settings, clock) as publisher:
            text = msgspec.json.encode(bundle).decode()
            await publisher.publish([configuration_event(text, self.settings.tenant, clock.now())])

    async def clocks_running(self) -> int:
        """How many clocks the read model shows as running."""
        return int(await self.reading.fetchval(_RUNNING))

    async def configured(self) -> None:
        """Wait until the bundle is decided on; what is sent from then on is judged by it."""
        async with asyncio.timeout(PATIENCE):
            while not await self.reading.fetchval(_CONFIGURATIONS):  # noqa: ASYNC110 - nothing tells of a row
                await asyncio.sleep(0.1)

    async def ready(self) -> None:
        """Wait until the HTTP server answers."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with self.http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.1)


@asynccontextmanager
async def prepared(on: Servers, prefix: str, name: str, **more: str) -> AsyncIterator[Hub]:
    """Topics, tables and settings of a hub that does not run yet. ``more``: settings that differ from the default."""
    async with database(on.postgres, name) as dsn:
        port = free_ports(1)[0]
        token = secrets.token_urlsafe(18)
        folder = on.folder / name
        settings = msgspec.convert(
            {
                "kafka": on.kafka,
                "postgres": dsn,
                "topic_prefix": prefix,
                "api_token": token,
                "http_port": port,
                "public_url": f"http://127.0.0.1:{port}",
                "blobs": str(folder / "blobs"),
                "log_level": "warning",
                **more,
            },
            Settings,
            strict=False,
        )
        await apply(on.kafka, topics(), prefix, settings.partitions, settings.replication)
        reading = await asyncpg.connect(dsn)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
                yield Hub(settings, http, reading)
        finally:
            await reading.close()


@asynccontextmanager
async def running(hub: Hub, names: Sequence[str], logs: Path) -> AsyncIterator[None]:
    """Run these of the hub's processes until the end of the block."""
    variables = {f"HUB_{name.upper()}": str(getattr(hub.settings, name)) for name in hub.settings.__struct_fields__}
    supervisor = Supervisor({name: STAGES[name] for name in names}, variables, logs)
    hub.watch(supervisor, names)
    await supervisor.start()
    try:
        yield
    finally:
        await supervisor.stop()
