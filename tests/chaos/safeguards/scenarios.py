"""Which safeguard is shown by which course of events, and what does its work where its absence alone does no harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from hub.verify.check import Report
from projections.migrate import migrate
from tests.chaos.safeguards import narrow, wide
from tests.chaos.safeguards.town import Town, town_on
from tests.chaos.without import without

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Scenario:
    """``course`` by hand, or ``processes``: one with the hub's own processes.

    ``covered_by``: without the safeguard alone the check finds nothing, since these do its work; without all of them it
    does. ``because``: why it stays all the same.
    """

    safeguard: str
    course: Callable[[Town], Awaitable[None]] | None = None
    processes: Callable[[wide.Place], Awaitable[None]] | None = None
    covered_by: tuple[str, ...] = ()
    because: str = ""

    @property
    def name(self) -> str:
        """As it is named on the command line."""
        return f"{self.safeguard}/processes" if self.processes else self.safeguard

    @property
    def sentence(self) -> str:
        """What happens."""
        return " ".join(((self.course or self.processes).__doc__ or "").split())


_POSITION = (
    "a stage whose records carry no source has nothing else, and without it a position and its committed offset go back"
)
_PLACE = "only what joined a ticket that is held is known by its facts; all else would be folded again"
_GENERATION = "it spares a restart: without it each rebalance under load lets the old owner write, and the new one end"
_FOREIGN = (
    "a process that comes back makes Kafka deal the partitions anew, and whoever restores then puts it right; one that"
    " does not come back is noticed by nothing else"
)
SCENARIOS: Sequence[Scenario] = (
    Scenario("position", narrow.log_read_again, covered_by=("source-position", "held-facts"), because=_POSITION),
    Scenario("gap", narrow.offset_ahead),
    Scenario("generation", narrow.dealt_anew, covered_by=("foreign-write", "overwritten"), because=_GENERATION),
    Scenario("outputs-awaited", narrow.outputs_under_way),
    Scenario("changelog-awaited", narrow.changelog_full),
    Scenario("highest-applied", narrow.older_state_last),
    Scenario("foreign-write", narrow.older_state_compacted),
    Scenario("overwritten", narrow.older_state_compacted),
    Scenario("ahead", narrow.torn_batch, covered_by=("held-facts",), because=_PLACE),
    Scenario("source-position", narrow.repeated_by_its_source, covered_by=("held-facts",), because=_PLACE),
    Scenario("recorded-decisions", narrow.merged_between_attempts),
    Scenario("event-id-ring", narrow.delivered_twice),
    Scenario("held-facts", narrow.delivered_late),
    Scenario("ticket-version", narrow.older_ticket_last),
    Scenario("alert-inbox", narrow.verdict_repeated),
    Scenario("foreign-write", processes=wide.stopped_before_it_writes, covered_by=("overwritten",), because=_FOREIGN),
    Scenario(
        "generation",
        processes=wide.stopped_before_it_folds,
        covered_by=("foreign-write", "overwritten"),
        because=_GENERATION,
    ),
    Scenario("projector-fence", processes=wide.database_fell_back),
    Scenario("watchdog", processes=wide.hung),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What the check said, and why processes ended themselves."""

    report: Report
    exits: tuple[str, ...]


class Ground:
    """Where scenarios are played: a Kafka, and a PostgreSQL on which each run gets a database of its own."""

    def __init__(self, kafka: str, postgres: str, folder: Path) -> None:
        self._kafka = kafka
        self._postgres = postgres
        self._folder = folder
        self._template = f"safeguards-{uuid4().hex[:8]}"

    def _dsn(self, name: str) -> str:
        return urlunsplit(urlsplit(self._postgres)._replace(path=f"/{name}"))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._postgres)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def prepare(self) -> None:
        """Make the tables once; every database is a copy."""
        await self._execute(f'CREATE DATABASE "{self._template}"')
        await migrate(self._dsn(self._template))

    async def clear(self) -> None:
        """Remove them."""
        await self._execute(f'DROP DATABASE IF EXISTS "{self._template}" WITH (FORCE)')

    @asynccontextmanager
    async def _town(self) -> AsyncIterator[Town]:
        name = f"safeguards-{uuid4().hex[:8]}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        try:
            async with town_on(self._kafka, self._dsn(name), f"{name}-") as town:
                yield town
        finally:
            await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def play(self, scenario: Scenario, off: Sequence[str] = ()) -> Result:
        """Let a scenario happen without some safeguards, leave the hub to settle, and check what there is then. The
        check itself has all of them."""
        async with self._town() as town:
            if scenario.processes is not None:
                folder = self._folder / uuid4().hex[:8]
                folder.mkdir()
                await town.mails(town.who(1))
                async with wide.place_of(town, folder, off) as place:
                    await scenario.processes(place)
                with without(*off):
                    await town.settle()
            elif scenario.course is not None:
                with without(*off):
                    await town.promise()
                    await scenario.course(town)
                    await town.settle()
            return Result(await town.judge(), tuple(town.exits))
