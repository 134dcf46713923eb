"""Live timelines: one listening connection per process tells which customers have something new.

Who watches a customer waits on a flag and then reads what is new from the table, in pages. So a slow watcher costs a
flag and a page, never a growing queue; and a lost notification costs nothing: each new connection wakes everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from domain.errors import Unavailable
from hub.http.problems import RETRY_AFTER_SECONDS, Refused
from projections.postgres import answering, connect, ping, reading
from projections.timeline import store as timeline
from runtime import metrics
from schemas.records import TimelineEntryAdded

if TYPE_CHECKING:
    from projections.postgres import Pool

log = structlog.get_logger(__name__)

MOST_WATCHERS = 2000
_PAGE = 100
_PROBE = 10.0
_LONGEST_PAUSE = 5.0


class Signals:
    """Wakes those who watch a customer when there is something new of them. ``run`` must run for it to work."""

    def __init__(self, dsn: str, most: int = MOST_WATCHERS) -> None:
        self._dsn = dsn
        self._most = most
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._count = 0
        self.listening = asyncio.Event()

    @contextmanager
    def watch(self, customer: str) -> Iterator[asyncio.Event]:
        """A flag that is set when there may be something new. Answers 503 when too many watch already."""
        self.admit()
        woken = asyncio.Event()
        self._watchers.setdefault(customer, set()).add(woken)
        self._count += 1
        metrics.streams_open.inc()
        try:
            yield woken
        finally:
            metrics.streams_open.dec()
            self._count -= 1
            self._watchers[customer].discard(woken)
            if not self._watchers[customer]:
                del self._watchers[customer]

    def admit(self) -> None:
        """Answers 503 when one more watcher could not be served."""
        if self._count >= self._most:
            raise Refused(
                503,
                f"{self._most} live timelines are watched already on this server; close one, or try again later",
                "too_many_watchers",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )

    def watched(self, customer: str) -> int:
        """How many watch this customer."""
        return len(self._watchers.get(customer, ()))

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for customer in str(payload).split(","):
            for woken in self._watchers.get(customer, ()):
                woken.set()

    def _wake_all(self) -> None:
        for watchers in self._watchers.values():
            for woken in watchers:
                woken.set()

    async def run(self) -> None:
        """Listen until cancelled, on a new connection whenever one is lost."""
        pause = 0.1
        while True:
            try:
                with answering("listening"):
                    await self._listen()
            except Unavailable as error:
                self.listening.clear()
                log.warning("postgres does not answer; live timelines wait", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = 0.1

    async def _listen(self) -> None:
        connection = await connect(self._dsn, command_timeout=_PROBE)
        ended = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: ended.set())
            await connection.add_listener(timeline.CHANNEL, self._notified)
            self._wake_all()
            self.listening.set()
            while not ended.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _PROBE)
                if not ended.is_set():
                    await ping(connection)  # a dead network is noticed only by sending something
        finally:
            self.listening.clear()
            connection.terminate()


async def follow(pool: Pool, signals: Signals, customer: str, after: int) -> AsyncIterator[list[TimelineEntryAdded]]:
    """The customer's entries after this sequence, and every later one as it comes, each once and in order.

    An empty list says that something else of the customer may have changed: a ticket or a verdict. While PostgreSQL
    does not answer, nothing comes.
    """
    with signals.watch(customer) as woken:
        while True:
            woken.clear()
            try:
                async with reading(pool) as connection:
                    entries = await timeline.since(connection, customer, after, _PAGE)
            except Unavailable:
                await asyncio.sleep(1)
                continue
            yield entries
            if entries:
                after = entries[-1].sequence
            if len(entries) < _PAGE:
                await woken.wait()
