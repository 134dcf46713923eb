"""From the instant a promise is due to its alert being accepted by a signed webhook, with many clocks open at once.

Every customer has one ticket whose first answer is due at an instant of its own; nobody answers. The receiver is a
server of the bench, which checks each signature as a receiver must.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from bench import crowd
from bench.casework_log import MINUTE, SECOND
from bench.crowd import Crowd
from bench.measuring import Spread, spread
from bench.part import Part, Say, Table, Target, below
from bench.running import PATIENCE, Hub, prepared, running
from bench.servers import Servers
from hub.processes import publisher_for
from runtime.clock import SystemClock
from schemas.records import Actor, ContactPoint, InteractionReceived

PROCESSES = ("identity", "casework", "projector", "alerts")
PROMISE = 10 * MINUTE
_RESTORED_A_SECOND = 3000  # at least
BUNDLE = {
    "name": "default",
    "calendars": {
        "always": {
            "tz": "Etc/UTC",
            "hours": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
        }
    },
    "policies": [{"name": "all", "calendar": "always", "targets": {"first_response": "10m"}, "warnings": []}],
}


class Load(msgspec.Struct, frozen=True):
    """``clocks`` come due evenly over ``seconds``, the first of them ``lead`` seconds after they are sent; after them
    ``burst`` clocks at one instant. ``crowd``: clocks that run all the time and do not come due."""

    crowd: int = 1_000_000
    clocks: int = 10_000
    seconds: int = 60
    lead: int = 20
    burst: int = 10_000


class AlertsResult(msgspec.Struct, frozen=True):
    """In ms: ``judged``: from due to the verdict's instant; ``delivered``: from due to the receiver's answer, and so
    for those of the ``burst``. ``restored_seconds``: from the start of the processes to the first clock that runs, with
    the crowd restored. ``resident``: bytes of the casework worker then.

    ``missing`` and ``doubled``: alerts that did not come, or came more than once. ``open_before``: clocks that the read
    model showed as running before the first came due.
    """

    load: Load
    judged: Spread
    delivered: Spread
    burst: Spread
    restored_seconds: float
    resident: int
    open_before: int
    missing: int
    doubled: int
    busy: dict[str, float]
    restarts: int


class _Receiver:
    """Answers 204 to every alert whose signature is right, and notes when."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.judged: list[float] = []
        self.delivered: list[float] = []
        self.seen: dict[str, int] = {}
        self._check = Webhook(self.secret)

    async def take(self, request: web.Request) -> web.Response:
        """One alert."""
        body = await request.read()
        self._check.verify(body, dict(request.headers))
        message = msgspec.json.decode(body)
        verdict = message["data"]["verdict"]
        ticket = verdict["ticket"]
        self.seen[ticket] = self.seen.get(ticket, 0) + 1
        if self.seen[ticket] == 1:
            self.judged.append((verdict["judged_at"] - verdict["due_at"]) / SECOND)
            self.delivered.append(time.time_ns() / 1e9 - verdict["due_at"] / SECOND)
        return web.Response(status=204)

    async def has(self, count: int, patience: float) -> None:
        """Wait until alerts of so many tickets came, or as long as patience lasts."""
        deadline = time.monotonic() + patience
        while len(self.seen) < count and time.monotonic() < deadline:  # noqa: ASYNC110 - thousands of events to wait for
            await asyncio.sleep(0.2)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The URL to post to."""
        app = web.Application()
        app.router.add_post("/alerts", self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            await web.SockSite(runner, listening).start()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/alerts"
            finally:
                await runner.cleanup()


async def measure(on: Servers, prefix: str, wanted: Load, say: Say) -> AlertsResult:
    """Start the hub, open the clocks, and wait for their alerts."""
    receiver = _Receiver()
    async with receiver.listening() as url:
        more = {"alert_webhook": url, "alert_webhook_secret": receiver.secret}
        async with prepared(on, prefix, f"{prefix}alerts".replace("-", "_"), **more) as hub:
            say(f"writing a state of {wanted.crowd:,} customers with running clocks")
            later = SystemClock().now() + 3600 * SECOND
            await crowd.write(hub.settings, Crowd(wanted.crowd, BUNDLE, later, 3600 * SECOND // max(wanted.crowd, 1)))
            await hub.configure(BUNDLE)
            async with running(hub, PROCESSES, on.folder / "alert-logs"):
                return await _measure(hub, receiver, wanted, say)


async def _measure(hub: Hub, receiver: _Receiver, wanted: Load, say: Say) -> AlertsResult:
    began = time.monotonic()
    await hub.configured()
    first_due = SystemClock().now() + 3600 * SECOND
    await _open(hub, 1, first_due, 1)  # one that stays open: when its clock runs, everything works
    await _until_open(hub, 1, patience=PATIENCE + wanted.crowd / _RESTORED_A_SECOND)
    restored, resident = time.monotonic() - began, hub.resident().get("casework", 0)
    say(f"restored in {restored:.0f} s; opening {wanted.clocks:,} clocks that come due over {wanted.seconds} s")
    first_due = SystemClock().now() + wanted.lead * SECOND
    await _open(hub, wanted.clocks, first_due, wanted.seconds)
    open_before = await _until_open(hub, wanted.clocks + 1, first_due)
    await asyncio.sleep(max(0.0, (first_due - SystemClock().now()) / SECOND))
    before, began = hub.cpu_seconds(), time.monotonic()
    await receiver.has(wanted.clocks, wanted.seconds + PATIENCE)
    after, took = hub.cpu_seconds(), time.monotonic() - began
    steady = (spread(receiver.judged), spread(receiver.delivered))
    receiver.judged, receiver.delivered = [], []
    say(f"opening {wanted.burst:,} clocks that come due at one instant")
    due = SystemClock().now() + wanted.lead * SECOND
    await _open(hub, wanted.burst, due, 0)
    everything = wanted.clocks + wanted.burst
    await receiver.has(everything, wanted.lead + PATIENCE)
    return AlertsResult(
        load=wanted,
        judged=steady[0],
        delivered=steady[1],
        burst=spread(receiver.delivered),
        restored_seconds=round(restored, 1),
        resident=resident,
        open_before=open_before - 1,
        missing=everything - len(receiver.seen),
        doubled=sum(count > 1 for count in receiver.seen.values()),
        busy={name: round((after[name] - before[name]) / took * 100, 1) for name in after},
        restarts=hub.restarts,
    )


async def _open(hub: Hub, count: int, first_due: int, seconds: int) -> None:
    """Mails of as many customers, written so that their answers come due evenly from ``first_due`` on."""
    clock = SystemClock()
    events = []
    for number in range(count):
        id_ = str(uuid.uuid4())
        due = first_due + number * seconds * SECOND // count
        events.append(
            InteractionReceived(
                id=id_,
                type="email.received",
                tenant=hub.settings.tenant,
                source="bench/main",
                channel="email",
                direction="inbound",
                occurred_at=due - PROMISE,
                received_at=max(clock.now(), due - PROMISE),
                conversation=f"email:{id_}",
                contact_points=[ContactPoint("email", f"customer-{id_}@example.com", verified=True)],
                actor=Actor("customer"),
                subject="Where is order 4711?",
                text="My parcel was due on Monday and nothing came.",
            )
        )
    async with publisher_for(hub.settings, clock) as publisher:
        for begin in range(0, count, 500):
            await publisher.publish(events[begin : begin + 500])


async def _until_open(hub: Hub, count: int, at_latest: int | None = None, patience: float = PATIENCE) -> int:
    """Wait until the read model shows so many clocks running; how many it shows at the end of the wait."""
    deadline = time.monotonic() + patience
    while (found := await hub.clocks_running()) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {count} clocks run after {patience:.0f} s; see the logs of the processes")
        if at_latest is not None and SystemClock().now() > at_latest:
            break
        await asyncio.sleep(0.1)
    return found


def _tables(found: AlertsResult) -> list[Table]:
    load = found.load
    rows = [
        found.judged.row(f"due until judged, {load.clocks:,} clocks over {load.seconds} s"),
        found.delivered.row("due until the alert is accepted"),
        found.burst.row(f"the same, {load.burst:,} clocks due at one instant"),
    ]
    busy = ", ".join(f"{process} {percent:g} %" for process, percent in found.busy.items())
    told = (
        f"With {load.crowd:,} other clocks running in the worker, which had them {found.restored_seconds:g} s after"
        f" its start and then took {found.resident / 1e6:,.0f} MB. Alerts missing: {found.missing}, doubled:"
        f" {found.doubled}; clocks open before the first came due: {found.open_before:,}. CPU while they came due one"
        f" by one: {busy} of a core; restarts: {found.restarts}."
    )
    return [Table(("milliseconds", *Spread.COLUMNS), rows, [told])]


def _targets(found: AlertsResult) -> list[Target]:
    running = f"{found.load.crowd:,} running clocks"
    return [
        below(f"due until the alert is accepted, {running}, p99", found.delivered.p99, 1000, " ms"),
        below(f"{found.load.burst:,} due at one instant, all accepted", found.burst.longest, 10_000, " ms"),
        below("alerts missing or doubled", found.missing + found.doubled, 1),
    ]


PART = Part("alerts", Load(), measure, _tables, _targets)
