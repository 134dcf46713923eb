"""From the 202 of ``POST /v1/events`` to the event being readable in the timeline, with the whole hub running.

Events come at a steady rate whatever the answers (an open loop). The bench listens on the read model's own notification
(the one that wakes live timelines) and then asks the table which of the entries that wait longest are there: one query
in 20 ms at most, of 1,000 entries at most, since asking for all of them each time took a quarter of a core from the
hub. Either bound can make the figure larger, never smaller. Each hundredth event is looked up in the timeline API, too.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from itertools import islice
from random import Random

import asyncpg
import msgspec

from bench.casework_log import BUNDLE
from bench.measuring import Spread, spread
from bench.part import Part, Say, Table, Target, below
from bench.posting import Posting
from bench.running import EVERYBODY, PATIENCE, Hub, prepared, running
from bench.servers import Servers
from domain.outputs import derived_id
from projections.sql import load
from projections.timeline.store import CHANNEL

_READABLE = load(__file__, "readable")
_BY_INDEX = load(__file__, "by_index")
_EACH_IN_API = 100
_ASKED_FOR = 1000  # entries at once
_PAUSE = 0.02  # seconds from one look to the next


class Load(msgspec.Struct, frozen=True):
    """``rate``: events per second; the first ``warm_up`` seconds are not counted, the next ``seconds`` are.

    ``batch``: events per request: 1 posts single ones, more uses the batch mode of CloudEvents.
    """

    rate: int = 1000
    seconds: int = 30
    warm_up: int = 10
    customers: int = 2000
    batch: int = 1


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
            say(f"sending {wanted.rate} events/s, {wanted.batch} a request, for {wanted.warm_up} + {wanted.seconds} s")
            media = "application/cloudevents+json" if wanted.batch == 1 else "application/cloudevents-batch+json"
            async with Posting(f"{hub.url}/v1/events", hub.settings.api_token, media) as posting:
                return await _Sending(hub, wanted, posting).run()


class _Sending:
    """One measurement: what was sent and accepted, and what was seen."""

    def __init__(self, hub: Hub, wanted: Load, posting: Posting) -> None:
        self._hub = hub
        self._load = wanted
        self._posting = posting
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
        await self._hub.reading.execute(_BY_INDEX)
        await self._hub.reading.add_listener(CHANNEL, self._notified)
        looking = asyncio.create_task(self._look())
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
        wanted = self._load
        first, last = wanted.rate * wanted.warm_up, wanted.rate * (wanted.warm_up + wanted.seconds)
        began = loop.time()
        before: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            for number in range(0, last, wanted.batch):
                if number >= first and not before:
                    before = self._hub.cpu_seconds() | {"bench": time.process_time()}
                await asyncio.sleep(max(0.0, began + number / wanted.rate - loop.time()))
                group.create_task(self._post(number, counts=number >= first))
            after = self._hub.cpu_seconds() | {"bench": time.process_time()}
        return {name: round((after[name] - before.get(name, 0)) / wanted.seconds * 100, 1) for name in after}

    async def _post(self, number: int, counts: bool) -> None:
        """One request, with the events from ``number`` on."""
        who = [self._random.randrange(self._load.customers) for _ in range(self._load.batch)]
        written = [self._event(number + index, customer) for index, customer in enumerate(who)]
        began = time.perf_counter()
        answer = await self._posting(msgspec.json.encode(written if self._load.batch > 1 else written[0]))
        accepted = time.perf_counter()
        if answer.status != 202:
            raise RuntimeError(f"POST /v1/events answered {answer.status}: {answer.body.decode(errors='replace')}")
        if counts:
            self._accepted.append(accepted - began)
        for index, id_ in enumerate(msgspec.json.decode(answer.body)["ids"]):
            if counts and (number + index) % _EACH_IN_API == 0:
                self._to_check.append((self._contact(who[index]), id_))
            self._outstanding[derived_id(id_, "entry")] = (accepted, int(counts))
        self._woken.set()

    def _contact(self, customer: int) -> str:
        return f"customer-{customer}-{self._run}@example.com"

    def _event(self, number: int, customer: int) -> dict[str, object]:
        answering = number % 3 == 2
        return {
            "specversion": "1.0",
            "id": f"{self._run}-{number}",
            "source": "bench/main",
            "type": "email.sent" if answering else "email.received",
            "time": datetime.now(UTC).isoformat(),
            "data": {
                "channel": "email",
                "direction": "outbound" if answering else "inbound",
                "conversation": f"email:{customer}",
                "contact_points": [{"kind": "email", "value": self._contact(customer), "verified": True}],
                "actor": {"kind": "agent" if answering else "customer"},
                "subject": "Where is order 4711?",
                "text": "My parcel was due on Monday and nothing came. " * 5,
            },
        }

    def _notified(self, *_: object) -> None:
        self._woken.set()

    async def _look(self) -> None:
        """Ask the table whenever the projector has committed something, until everything was seen."""
        connection: asyncpg.Connection[asyncpg.Record] = self._hub.reading
        while self._outstanding or not self._all_sent:
            await self._woken.wait()
            self._woken.clear()
            began = time.perf_counter()
            rows = await connection.fetch(_READABLE, list(islice(self._outstanding, _ASKED_FOR)))
            seen = time.perf_counter()
            self._own.append(seen - began)
            for row in rows:
                accepted, counts = self._outstanding.pop(row["id"])
                if counts:
                    self._readable.append(max(0.0, seen - accepted))
            if len(rows) == _ASKED_FOR:
                self._woken.set()
            await asyncio.sleep(_PAUSE)

    async def _in_api(self, contact: str, event: str) -> bool:
        async with self._hub.http.get(f"{self._hub.url}/v1/customers", params={"contact": contact}) as answer:
            found = msgspec.json.decode(await answer.read())["customers"]
        path = f"{self._hub.url}/v1/customers/{found[0]['id']}/timeline"
        async with self._hub.http.get(path, params={"limit": "200"}) as answer:
            entries = msgspec.json.decode(await answer.read())["entries"]
        return any(entry["event"] == event for entry in entries)


def _tables(found: LatencyResult) -> list[Table]:
    rows = [
        found.accepted.row(f"POST /v1/events until its 202, at {found.load.rate}/s"),
        found.readable.row("202 until readable in the timeline"),
    ]
    busy = ", ".join(f"{process} {percent:g} %" for process, percent in found.busy.items())
    return [
        Table(
            ("milliseconds", *Spread.COLUMNS), rows, [f"CPU meanwhile: {busy} of a core; restarts: {found.restarts}."]
        )
    ]


def _targets(found: LatencyResult) -> list[Target]:
    return [below(f"accepted until readable, {found.load.rate} events/s, p99", found.readable.p99, 500, " ms")]


PART = Part("latency", Load(), measure, _tables, _targets)
