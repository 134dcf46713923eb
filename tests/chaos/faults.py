"""Everything that is done to the hub and its servers in a run, drawn like cards: each sort comes as often as the deck
has cards of it, in an order that the seed decides, and a new deck is shuffled when one is used up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hub.local.server import Server
from hub.local.stack import LocalStack
from tests.chaos import far
from tests.chaos.far import set_delay
from tests.chaos.herd import Herd
from tests.chaos.receiver import Mood, set_mood

MOOD_SECONDS = 8.0
SLOW_SECONDS = 8.0
HELD_BACK_SECONDS = 13.0  # longer than a statement of the hub may take
START_SECONDS = 240.0
ROLES = ("door", "identity", "casework", "projector", "alerts")
Card = tuple[str, Callable[[], Awaitable[str | None]]]


@dataclass(slots=True)
class Harm:
    """What is harmed, and how often it was.

    ``folder``: the receiver's; ``far``: that of ``tests.chaos.far``; ``session``: seconds of a group's session;
    ``sets``: by stage, every worker there may be; ``servers``: the stack whose Kafka and PostgreSQL are killed and
    restarted as well, or None; ``pause``: seconds between two faults, from and to.
    """

    herd: Herd
    folder: Path
    far: Path
    session: float
    sets: Mapping[str, Sequence[str]]
    chance: random.Random
    progress: Callable[[str], None]
    servers: LocalStack | None = None
    pause: tuple[float, float] = (1.0, 4.0)
    done: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    restarts: int = 0
    database_harmed: list[tuple[float, float]] = field(default_factory=list)
    _under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def go_on(self, seconds: float) -> None:
        """Draw cards until the time is over, then wait for what is under way and put everything right."""
        end = time.monotonic() + seconds
        deck: list[Card] = []
        later: list[Card] = []  # what could not be dealt: a disk stays full until somebody writes to it
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self.chance.uniform(*self.pause)))
            for _ in range(10):
                if not deck:
                    deck, later = [*later, *self._deck()], []
                    self.chance.shuffle(deck)
                sort, act = deck.pop()
                hit = await act()
                if hit is not None:
                    self.done[sort] += 1
                    self.progress(f"{sort}: {hit}")
                    break
                later.append((sort, act))
            for task in [task for task in self._under_way.values() if task.done()]:
                task.result()
        await self.settle()

    async def settle(self) -> None:
        """Return when all that was begun is over, and nothing is slow, cross or full any more."""
        await asyncio.gather(*self._under_way.values())
        set_mood(self.folder, Mood.WELL)
        set_delay(self.far, 0.0)
        with suppress(FileNotFoundError):
            (self.folder / "disk-full").unlink()
            self.done["full disk"] -= 1
            self.progress("full disk: the last one was met by nobody, and does not count")

    def _deck(self) -> list[Card]:
        deck: list[Card] = [(f"kill {role}", self._kill(role)) for role in (*ROLES, "identity", "casework", "casework")]
        deck += [("short stop", self._stop(short=True, roles=ROLES))] * 2
        deck += [("long stop", self._stop(short=False, roles=ROLES))]
        deck += [("long stop", self._stop(short=False, roles=("casework", "identity")))]
        deck += [(f"receiver {mood}", self._receiver(mood)) for mood in (Mood.LATE, Mood.FAILING, Mood.DROPPING)]
        deck += [("slow database", self._slow), ("full disk", self._full_disk)]
        if self.servers is None:
            return deck
        deck += [("kill -9 Kafka", self._kafka(kill=True))] * 2
        deck += [("restart Kafka", self._kafka(kill=False))]
        deck += [("kill -9 PostgreSQL", self._postgres(kill=True)), ("restart PostgreSQL", self._postgres(kill=False))]
        deck += [("workers 1, 3, 1", self._scale), ("move of all partitions", self._move)]
        return deck

    def _begin(self, lane: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Begin something that takes a while; one thing at a time in each lane."""
        if lane in self._under_way and not self._under_way[lane].done():
            return False

        async def run() -> None:
            await work()

        self._under_way[lane] = asyncio.create_task(run())
        return True

    def _among(self, roles: Sequence[str]) -> list[str]:
        return [name for name in self.herd.names() if name.startswith(tuple(roles))]

    def _kill(self, role: str) -> Callable[[], Awaitable[str | None]]:
        async def act() -> str | None:
            running = self._among((role,))
            if not running:
                return None
            name = self.chance.choice(running)
            self.herd.kill(name)
            return name

        return act

    def _stop(self, *, short: bool, roles: Sequence[str]) -> Callable[[], Awaitable[str | None]]:
        async def act() -> str | None:
            running = self._among(roles)
            if not running:
                return None
            name = self.chance.choice(running)
            seconds = self.chance.choice((1.0, self.session * 0.7)) if short else self.session + 3
            self.herd.stop(name, seconds)
            return f"{name} for {seconds:.1f} s"

        return act

    def _receiver(self, mood: Mood) -> Callable[[], Awaitable[str | None]]:
        async def spell() -> None:
            set_mood(self.folder, mood)
            await asyncio.sleep(MOOD_SECONDS)
            set_mood(self.folder, Mood.WELL)

        async def act() -> str | None:
            return f"for {MOOD_SECONDS:.0f} s" if self._begin("receiver", spell) else None

        return act

    async def _slow(self) -> str | None:
        seconds = self.chance.choice((0.1, 0.5, far.HELD_BACK))
        lasting = HELD_BACK_SECONDS if seconds == far.HELD_BACK else SLOW_SECONDS

        async def spell() -> None:
            began = time.time()
            set_delay(self.far, seconds)
            await asyncio.sleep(lasting)
            set_delay(self.far, 0.0)
            self.database_harmed.append((began, time.time()))

        what = "nothing passes" if seconds == far.HELD_BACK else f"{seconds} s each way"
        return f"{what}, for {lasting:.0f} s" if self._begin("postgres", spell) else None

    async def _full_disk(self) -> str | None:
        file = self.folder / "disk-full"
        if file.exists():
            return None
        file.touch()
        return "the next changelog write of a fragile worker"

    def _kafka(self, *, kill: bool) -> Callable[[], Awaitable[str | None]]:
        async def act() -> str | None:
            assert self.servers is not None
            assert self.servers.kafka is not None
            node = self.chance.choice(self.servers.kafka.nodes)
            pause = self.chance.choice((0.0, 1.0, 5.0))
            return node.name if self._begin("kafka", lambda: self._harm_server(node, kill, pause)) else None

        return act

    def _postgres(self, *, kill: bool) -> Callable[[], Awaitable[str | None]]:
        async def spell() -> None:
            assert self.servers is not None
            assert self.servers.postgres is not None
            began = time.time()
            await self._harm_server(self.servers.postgres, kill, self.chance.choice((0.0, 1.0, 5.0)))
            self.database_harmed.append((began, time.time()))

        async def act() -> str | None:
            return "PostgreSQL" if self._begin("postgres", spell) else None

        return act

    async def _harm_server(self, server: Server, kill: bool, pause: float) -> None:
        server.start_timeout = START_SECONDS  # a busy machine
        await asyncio.to_thread(server.kill if kill else server.stop)
        self.kills += kill
        self.restarts += not kill
        await asyncio.sleep(pause)
        await asyncio.to_thread(server.start)
        self.progress(f"{server.name} is back")

    async def _scale(self) -> str | None:
        stage = self.chance.choice(sorted(self.sets))

        async def spell() -> None:
            before = self.herd.kept(stage)
            for count in (1, 3, 1):
                await self._have(stage, set(self.chance.sample(sorted(self.sets[stage]), count)))
                await asyncio.sleep(self.chance.uniform(4.0, 9.0))
            await self._have(stage, before)

        return stage if self._begin(f"workers of {stage}", spell) else None

    async def _move(self) -> str | None:
        async def spell() -> None:
            others = set(self.sets["casework"]) - self.herd.kept("casework")
            await self._have("casework", set(sorted(others)[:2]))

        return "all casework to other workers" if self._begin("workers of casework", spell) else None

    async def _have(self, stage: str, wanted: set[str]) -> None:
        """Have exactly these workers of a stage."""
        self.herd.start(*(wanted - self.herd.kept(stage)))
        await asyncio.gather(*(self.herd.retire(name) for name in self.herd.kept(stage) - wanted))
