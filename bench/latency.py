"""From the 202 of ``POST /v1/events`` to the event being readable in the timeline, with the whole hub running.

Events come at a steady rate whatever the answers (an open loop). The bench listens on the read model's own notification
(the one that wakes live timelines) and then asks the table which of the outstanding entries are there: one query per
transaction of the projector, no polling. Every hundredth event is also looked up in the timeline API.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import asyncpg
import msgspec

from bench.casework_log import BUNDLE
from bench.measuring import Spread, spread
from bench.running import EVERYBODY, PATIENCE, Hub, prepared, running
from bench.servers import Servers
from domain.casework import derived_id
from projections.sql import load
from projections.timeline.store import CHANNEL

_READABLE = load(__file__, "readable")
_EACH_IN_API = 100
Say = Callable[[str], None]


class Load(msgspec.Struct, frozen=True):
    """``rate``: events per second; the first ``warm_up`` seconds are not counted, the next ``seconds`` are."""

    rate: int = 200
    seconds: int = 40
    warm_up: int = 8
    customers: int = 2000


class LatencyResult(msgspec.Struct, frozen=True):
    """``accepted``: from the request to its 202; ``readable``: from the 202 to the entry in the read model; both in ms.

    ``own``: the time of the bench's own look at the read model, which is part of ``readable``. ``busy``: percent of a
    core that each process used. ``restarts``: of the hub's processes.
    """

    load: Load
    accepted: Spread
    readable: Spread
    own: Spread
    busy: dict[str, float]
    checked_in_api: int
    restarts: int


async def measure(on: Servers, prefix: str, wanted: Load, say: Say) -> LatencyResult:
    """Start the hub, send, and wait until all is readable."""
    async with prepared(on, prefix, f"{prefix}latency".replace("-", "_")) as hub:
        await hub.configure(BUNDLE)
        async with running(hub, EVERYBODY, on.folder / "latency-logs"):
            await hub.ready()
            await hub.configured()
            say(f"sending {wanted.rate} events/s for {wanted.warm_up} + {wanted.seconds} s")
            return await _Sending(hub, wanted).run()


class _Sending:
    """One measurement: what was sent and accepted, and what was seen."""

    def __init__(self, hub: Hub, wanted: Load) -> None:
        self._hub = hub
        self._load = wanted
        self._random = Random(1)
        self._run = uuid.uuid4().hex[:8]
        self._outstanding: dict[str, tuple[float, int]] = {}
        self._woken = asyncio.Event()
        self._accepted: list[float] = []
        self._readable: list[float] = []
        self._own: list[float] = []
        self._to_check: list[tuple[str, str]] = []
        self._all_sent = False

    async def run(self) -> LatencyResult:
        """Send, look, check."""
        looking = asyncio.create_task(self._look())
        await self._hub.reading.add_listener(CHANNEL, self._notified)
        busy = await self._send()
        self._all_sent = True
        self._woken.set()
        async with asyncio.timeout(PATIENCE):
            await looking
        for number, (contact, event) in enumerate(self._to_check):
            if not await self._in_api(contact, event):
                raise RuntimeError(f"event {event} ({number}) is in the table and not in the timeline API")
        return LatencyResult(
            load=self._load,
            accepted=spread(self._accepted),
            readable=spread(self._readable),
            own=spread(self._own),
            busy=busy,
            checked_in_api=len(self._to_check),
            restarts=self._hub.restarts,
        )

    async def _send(self) -> dict[str, float]:
        """Send at the rate; percent of a core that each process used while it was counted."""
        loop = asyncio.get_running_loop()
        first = self._load.rate * self._load.warm_up
        last = first + self._load.rate * self._load.seconds
        began = loop.time()
        before: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            for number in range(last):
                if number == first:
                    before = self._hub.cpu_seconds()
                await asyncio.sleep(max(0.0, began + number / self._load.rate - loop.time()))
                group.create_task(self._post(number, counts=number >= first))
            after = self._hub.cpu_seconds()
        return {name: round((after[name] - before.get(name, 0)) / self._load.seconds * 100, 1) for name in after}

    async def _post(self, number: int, counts: bool) -> None:
        customer = self._random.randrange(self._load.customers)
        contact = f"customer-{customer}-{self._run}@example.com"
        answering = number % 3 == 2
        event = {
            "specversion": "1.0",
            "id": f"{self._run}-{number}",
            "source": "bench/main",
            "type": "email.sent" if answering else "email.received",
            "time": datetime.now(UTC).isoformat(),
            "data": {
                "channel": "email",
                "direction": "outbound" if answering else "inbound",
                "conversation": f"email:{customer}",
                "contact_points": [{"kind": "email", "value": contact, "verified": True}],
                "actor": {"kind": "agent" if answering else "customer"},
                "subject": "Where is order 4711?",
                "text": "My parcel was due on Monday and nothing came. " * 5,
            },
        }
        began = time.perf_counter()
        async with self._hub.http.post(
            f"{self._hub.url}/v1/events",
            data=msgspec.json.encode(event),
            headers={"Content-Type": "application/cloudevents+json"},
        ) as answer:
            body = await answer.read()
            accepted = time.perf_counter()
        if answer.status != 202:
            raise RuntimeError(f"POST /v1/events answered {answer.status}: {body.decode(errors='replace')}")
        id_ = msgspec.json.decode(body)["ids"][0]
        if counts:
            self._accepted.append(accepted - began)
            if number % _EACH_IN_API == 0:
                self._to_check.append((contact, id_))
        self._outstanding[derived_id(id_, "entry")] = (accepted, int(counts))
        self._woken.set()

    def _notified(self, *_: object) -> None:
        self._woken.set()

    async def _look(self) -> None:
        """Ask the table whenever the projector has committed something, until everything was seen."""
        connection: asyncpg.Connection[asyncpg.Record] = self._hub.reading
        while self._outstanding or not self._all_sent:
            await self._woken.wait()
            self._woken.clear()
            began = time.perf_counter()
            rows = await connection.fetch(_READABLE, list(self._outstanding))
            seen = time.perf_counter()
            self._own.append(seen - began)
            for row in rows:
                accepted, counts = self._outstanding.pop(row["id"])
                if counts:
                    self._readable.append(max(0.0, seen - accepted))

    async def _in_api(self, contact: str, event: str) -> bool:
        async with self._hub.http.get(f"{self._hub.url}/v1/customers", params={"contact": contact}) as answer:
            found = msgspec.json.decode(await answer.read())["customers"]
        path = f"{self._hub.url}/v1/customers/{found[0]['id']}/timeline"
        async with self._hub.http.get(path, params={"limit": "200"}) as answer:
            entries = msgspec.json.decode(await answer.read())["entries"]
        return any(entry["event"] == event for entry in entries)
