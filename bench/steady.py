"""Minutes of steady work for the whole hub, and how much memory each of its processes holds meanwhile.

The hub's clock runs ``speed`` times as fast as the machine's, so that tickets are opened, answered, resolved, closed
and put away (``HUB_RETENTION_DAYS`` is 1) within the measurement: from then on as many leave the state as come in, and
memory that still grows is lost. Only the second half is judged. Every ticket ends, and a customer is gone before they
write again; and topics have one partition, since what counting remembers of each (``consumers.sources.REMEMBERED``
ids) would not be full before half an hour.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bench.alerts import BUNDLE
from bench.measuring import median
from bench.part import Part, Say, Table, Target, below
from bench.posting import Posting
from bench.running import EVERYBODY, Hub, prepared, running
from bench.servers import Servers
from runtime.clock import SECOND, MovableClock

_LOOK = 2.0  # seconds between two looks at memory
_MOVE = 0.1  # seconds between two moves of the clock
_AT_ONCE = 16  # requests; if the machine halts, what is late comes in turn: more connections hold more memory for good
_LATER = 90  # events between a mail, its answer, and the end of its ticket
_BUNDLE = {**BUNDLE, "tickets": {"join_window": "1h", "close_after": "1h"}}


class Load(msgspec.Struct, frozen=True):
    """``rate`` events a second for ``minutes``, of as many ``customers``, one after the other. To the hub, 1 s is
    ``speed`` seconds."""

    minutes: float = 5
    rate: int = 100
    customers: int = 5000
    speed: int = 900


class Memory(msgspec.Struct, frozen=True):
    """Of one process in the second half, in MB: as it ``began`` and ``ended`` by the straight line through all looks,
    and how much more that is each ``hour``. ``minutes``: the middle of the looks in each minute of the whole run."""

    began: float
    ended: float
    hour: float
    minutes: list[float]


class SteadyResult(msgspec.Struct, frozen=True):
    """By process; ``busy``: percent of a core. ``days``: that passed for the hub."""

    load: Load
    events: int
    days: float
    memory: dict[str, Memory]
    busy: dict[str, float]
    restarts: int


async def measure(on: Servers, prefix: str, wanted: Load, say: Say) -> SteadyResult:
    """Start the hub, keep it at work, and look at its processes."""
    file = on.folder / "steady-clock"
    more = {"clock_file": str(file), "retention_days": "1", "partitions": "1"}
    async with prepared(on, prefix, f"{prefix}steady".replace("-", "_"), **more) as hub:
        await hub.configure(_BUNDLE)
        async with running(hub, EVERYBODY, on.folder / "steady-logs"):
            await hub.ready()
            await hub.configured()
            say(f"{wanted.rate} events/s for {wanted.minutes:g} minutes, {wanted.speed} times as long to the hub")
            clock = MovableClock(file)
            media = "application/cloudevents+json"
            async with Posting(f"{hub.url}/v1/events", hub.settings.api_token, media) as posting:
                return await _Working(hub, wanted, posting, clock).run()


class _Working:
    """The load, and the looks at memory."""

    def __init__(self, hub: Hub, wanted: Load, posting: Posting, clock: MovableClock) -> None:
        self._hub = hub
        self._load = wanted
        self._posting = posting
        self._clock = clock
        self._asked: deque[tuple[int, int, str]] = deque()
        self._answered: deque[tuple[int, int, str]] = deque()
        self._looks: list[tuple[float, dict[str, int]]] = []

    async def run(self) -> SteadyResult:
        """Work for the minutes."""
        wanted, loop = self._load, asyncio.get_running_loop()
        events, free = round(wanted.minutes * 60 * wanted.rate), asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            try:
                await self._one(number)
            finally:
                free.release()

        first = self._clock.now()
        beside = [asyncio.create_task(self._move()), asyncio.create_task(self._look())]
        before, began = self._hub.cpu_seconds(), loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(events):
                    await asyncio.sleep(max(0.0, began + number / wanted.rate - loop.time()))
                    await free.acquire()
                    group.create_task(one(number))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        after, took = self._hub.cpu_seconds(), loop.time() - began
        return SteadyResult(
            load=wanted,
            events=events,
            days=round((self._clock.now() - first) / SECOND / 86_400, 1),
            memory={name: self._memory(name) for name in after},
            busy={name: round((after[name] - before.get(name, 0)) / took * 100, 1) for name in after},
            restarts=self._hub.restarts,
        )

    def _memory(self, name: str) -> Memory:
        return judged([(at, found[name] / 1e6) for at, found in self._looks if name in found])

    async def _move(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_MOVE)
            self._clock.move((time.monotonic() - began) * (self._load.speed - 1))

    async def _look(self) -> None:
        while True:
            self._looks.append((time.monotonic(), self._hub.resident()))
            await asyncio.sleep(_LOOK)

    async def _one(self, number: int) -> None:
        """The next event: a customer's mail, the answer to an earlier one, or the end of an answered ticket."""
        if self._asked and number % 3 == 1 and number - self._asked[0][0] >= _LATER:
            _, customer, ticket = self._asked.popleft()
            await self._post("email.sent", number, customer, ticket)
            self._answered.append((number, customer, ticket))
        elif self._answered and number % 3 == 2 and number - self._answered[0][0] >= _LATER:
            _, customer, ticket = self._answered.popleft()
            await self._post("ticket.status_set", number, customer, ticket)
        elif number % 3 == 0:
            customer = number // 3 % self._load.customers
            self._asked.append((number, customer, await self._post("email.received", number, customer, "")))

    async def _post(self, kind: str, number: int, customer: int, ticket: str) -> str:
        """Send one event; its id."""
        points = [{"kind": "email", "value": f"customer-{customer}@example.com", "verified": True}]
        if ticket:
            points.append({"kind": "hub", "value": f"ticket:{ticket}"})
        data: dict[str, object] = {
            "channel": "internal" if kind == "ticket.status_set" else "email",
            "direction": {"email.received": "inbound", "email.sent": "outbound"}.get(kind, "internal"),
            "conversation": f"email:{ticket or number}",
            "contact_points": points,
            "actor": {"kind": "customer" if kind == "email.received" else "agent"},
        }
        if kind == "ticket.status_set":
            data["facts"] = {"kind": "ticket", "ticket": ticket, "status": "resolved"}
        else:
            data |= {"subject": "Where is order 4711?", "text": "My parcel was due on Monday. " * 8}
        event = {
            "specversion": "1.0",
            "id": f"steady-{number}",
            "source": "bench/main",
            "type": kind,
            "time": datetime.fromtimestamp(self._clock.now() / SECOND, UTC).isoformat(),
            "data": data,
        }
        answer = await self._posting(msgspec.json.encode(event))
        if answer.status != 202:
            raise RuntimeError(f"POST /v1/events answered {answer.status}: {answer.body.decode(errors='replace')}")
        return str(msgspec.json.decode(answer.body)["ids"][0])


def judged(looks: Sequence[tuple[float, float]]) -> Memory:
    """What looks at a process, as (seconds, MB), say; all zero for none."""
    if not looks:
        return Memory(0.0, 0.0, 0.0, [])
    late = looks[len(looks) // 2 :]
    rise, took = slope(late), late[-1][0] - late[0][0]
    middle = sum(size for _, size in late) / len(late)
    by_minute: dict[int, list[float]] = {}
    for at, size in looks:
        by_minute.setdefault(int((at - looks[0][0]) // 60), []).append(size)
    return Memory(
        began=round(middle - rise * took / 2, 1),
        ended=round(middle + rise * took / 2, 1),
        hour=round(rise * 3600, 1),
        minutes=[round(median(sizes), 1) for sizes in by_minute.values()],
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second of each pair grows with the first, by the straight line of least squares; 0 for one pair."""
    x = sum(one for one, _ in points) / len(points)
    y = sum(other for _, other in points) / len(points)
    spread = sum((one - x) ** 2 for one, _ in points)
    return sum((one - x) * (other - y) for one, other in points) / spread if spread else 0.0


def _tables(found: SteadyResult) -> list[Table]:
    rows = [
        (name, f"{one.began:,.1f}", f"{one.ended:,.1f}", f"{one.hour:+,.1f}", f"{found.busy[name]:g}")
        for name, one in found.memory.items()
    ]
    told = (
        f"{found.events:,} events at {found.load.rate}/s in {found.load.minutes:g} minutes, {found.days:g} days to the"
        f" hub; MB in the second half. Restarts: {found.restarts}."
    )
    return [Table(("memory at a steady load", "MB first", "MB last", "MB an hour", "% of a core"), rows, [told])]


def _targets(found: SteadyResult) -> list[Target]:
    grown = max(((one.ended / one.began - 1) * 100 for one in found.memory.values() if one.began), default=0.0)
    return [below("memory in the second half of a steady load, growth of any process", grown, 3, " %")]


PART = Part("steady", Load(), measure, _tables, _targets)
