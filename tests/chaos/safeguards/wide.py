"""Courses of events with the hub's own processes: stopped longer than their session, held at a point, or hung, and with
a PostgreSQL that falls back to an older state. Each takes about half a minute.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from hub.verify.evidence import OUTPUTS, ends_of, positions
from runtime.changelog import restore
from runtime.clock import SECOND
from runtime.worker import PROBE_EVERY
from tests.chaos.safeguards.town import CHANGELOG, IDENTIFIED, SESSION, Town

PATIENCE = 40.0
HUNG = 15.0


class Running:
    """One of the hub's processes, started anew whenever it ends by itself; ``town.exits`` has why."""

    def __init__(self, town: Town, folder: Path, name: str, words: Sequence[str]) -> None:
        self._town = town
        self._log = folder / f"{name}.log"
        self._name = name
        self._words = words
        self._environment = os.environ | {
            "HUB_KAFKA": town.kafka,
            "HUB_POSTGRES": town.dsn,
            "HUB_TOPIC_PREFIX": town.settings.topic_prefix,
            "HUB_PARTITIONS": str(town.settings.partitions),
            "HUB_SESSION_TIMEOUT": str(SESSION),
            "HUB_RETENTION_DAYS": str(town.settings.retention_days),
            "HUB_CLOCK_FILE": str(folder / "clock"),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._keeper = asyncio.create_task(self._keep())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self) -> None:
        """Kill it, and start it no more."""
        self._keeper.cancel()
        self.signal(signal.SIGKILL)
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:
            await self._process.wait()

    async def _keep(self) -> None:
        while True:
            with self._log.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", *self._words, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                    stdout=output, stderr=output, start_new_session=True,
                )  # fmt: skip
            code = await self._process.wait()
            self._town.exits.append(f"{self._name} exit {code}")


class Place:
    """Where a course of events takes place: its folder, its processes, and what they are without."""

    def __init__(self, town: Town, folder: Path, off: Sequence[str]) -> None:
        self.town = town
        self.folder = folder
        self._off = off
        self._running: list[Running] = []
        (folder / "clock").write_text(repr((town.clock.instant - time.time_ns() // 1000) / SECOND))

    def start(self, name: str, *words: str, held: bool = False, also_without: str = "") -> Running:
        """Start ``hub`` with these words. ``held``: it stands still as the files in the folder say."""
        off = [*self._off, *([also_without] if also_without and also_without not in self._off else [])]
        program = ["tests.chaos.safeguards.held", str(self.folder)] if held else ["tests.chaos.without"]
        self._running.append(Running(self.town, self.folder, name, [*program, "+".join(off) or "-", *words]))
        return self._running[-1]

    def hold(self, what: str) -> None:
        """Let the held process stand still there."""
        (self.folder / "waiting").unlink(missing_ok=True)
        (self.folder / what).touch()

    def release(self, what: str) -> None:
        """Let it go on."""
        (self.folder / what).unlink(missing_ok=True)

    async def waits(self, unlike: str | None = None) -> str:
        """Until it stands there; what it says of itself. ``unlike``: until it says something else."""
        file = self.folder / "waiting"

        async def there() -> bool:
            return file.exists() and file.read_text() not in ("", unlike)

        await until(there)
        return file.read_text()

    async def done(self, seconds: float = PATIENCE) -> None:
        """Until all that is in casework's log by now is in its state."""
        town = self.town
        ends = await ends_of(town.kafka, [town.name(IDENTIFIED)])

        async def all_folded() -> bool:
            changelog = town.name(CHANGELOG)
            return all([(await restore(town.kafka, changelog, n)).position.next >= end for (_, n), end in ends.items()])

        await until(all_folded, seconds)

    async def put_right(self) -> None:
        """Until no older state stands after a newer one."""

        async def newest_last() -> bool:
            found = await restore(self.town.kafka, self.town.name(CHANGELOG), 0)
            return not found.overwritten

        await until(newest_last, PROBE_EVERY + HUNG)

    async def projected(self) -> None:
        """Until the projector stands at the end of its topics."""
        town = self.town

        async def all_written() -> bool:
            ends = await ends_of(town.kafka, [town.name(topic) for topic in OUTPUTS])
            async with town.connection() as connection:
                held = await positions(connection, "projector_positions")
            return all(held.get(place, 0) == end for place, end in ends.items())

        await until(all_written)

    async def end(self) -> None:
        """Kill what runs."""
        await asyncio.gather(*(each.end() for each in self._running))
        offset = float((self.folder / "clock").read_text())
        self.town.clock.instant = max(self.town.clock.instant, time.time_ns() // 1000 + round(offset * SECOND))


async def until(reached: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Look until it is so; ``TimeoutError`` otherwise. What can't be asked just now is asked again."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                if await reached():
                    return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def place_of(town: Town, folder: Path, off: Sequence[str]) -> AsyncIterator[Place]:
    """A place whose processes are gone at the end."""
    place = Place(town, folder, off)
    try:
        yield place
    finally:
        await place.end()


async def stopped_before_it_writes(place: Place) -> None:
    """SIGSTOP of an owner that is about to write its state, SIGCONT when its successor has done that and more; it was
    stopped so that its watchdog looks too late. Then work goes on for somebody else, and Kafka compacts."""
    await _outlived(place, "changelog", rejoins=False)


async def stopped_before_it_folds(place: Place) -> None:
    """The same with an owner that has a batch in hand, and knows that it is the owner no more before it folds it."""
    await _outlived(place, "fold", rejoins=True)


async def _outlived(place: Place, at: str, rejoins: bool) -> None:
    town = place.town
    old = place.start("casework-old", "worker", "casework", held=True, also_without="watchdog")
    await town.mails(town.who(0), 2)
    await place.done()
    place.hold(at)
    await town.mails(town.who(0), 2)
    generation = await place.waits()
    old.signal(signal.SIGSTOP)
    place.start("casework-new", "worker", "casework")
    await place.done()
    await town.mails(town.who(0), 2)
    await place.done()
    before = await ends_of(town.kafka, [town.name(CHANGELOG)])
    if rejoins:
        old.signal(signal.SIGCONT)
        await place.waits(unlike=generation)
        place.release(at)
    else:
        place.release(at)
        old.signal(signal.SIGCONT)

        async def written() -> bool:
            return await ends_of(town.kafka, [town.name(CHANGELOG)]) != before

        await until(written)
    await town.mails(town.who(0, 1))
    await place.done()
    with suppress(TimeoutError):
        await place.put_right()
    await place.end()
    await town.compact()
    await town.mails(town.who(0), 2)


async def hung(place: Place) -> None:
    """A worker's event loop hangs, while its threads still tell Kafka that it lives."""
    town = place.town
    place.start("casework", "worker", "casework", held=True)
    await town.mails(town.who(0), 2)
    await place.done()
    place.hold("hang")
    await town.mails(town.who(0), 2)
    await place.waits()
    with suppress(TimeoutError):
        await place.done(HUNG)
    await place.end()
    await town.project()
    town.left_alone = True


async def database_fell_back(place: Place) -> None:
    """PostgreSQL goes over to a replica that lacks the last transactions, and the projector stays what it was."""
    town = place.town
    await town.mails(town.who(0), 6)
    projector = place.start("projector", "project")
    async with town.casework() as process:
        await process.take(0, end=3)
        await place.projected()
        async with _alone(town, projector) as (connection, name):
            await connection.execute(f'CREATE DATABASE "{name}-replica" TEMPLATE "{name}"')
        await process.take(0)
        await place.projected()
    async with _alone(town, projector) as (connection, name):
        await connection.execute(f'DROP DATABASE "{name}"')
        await connection.execute(f'ALTER DATABASE "{name}-replica" RENAME TO "{name}"')
    await town.mails(town.who(0), 2)
    await town.work()
    await place.projected()


@asynccontextmanager
async def _alone(town: Town, projector: Running) -> AsyncIterator[tuple[asyncpg.Connection[asyncpg.Record], str]]:
    """A moment in which nobody is connected to the database; gives its name and a connection beside it."""
    parts = urlsplit(town.dsn)
    name = parts.path.lstrip("/")
    connection = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")))
    projector.signal(signal.SIGSTOP)
    try:
        gone = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
        await connection.execute(gone, name)
        yield connection, name
    finally:
        projector.signal(signal.SIGCONT)
        await connection.close()
