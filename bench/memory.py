"""What a casework worker holds: memory per customer with open work, by the worker's own size after it took them over.

The state is written to the changelog as a worker leaves it (``crowd.py``); then the worker starts and says by its own
metric when it has all. Customers have one open ticket of some mails, which is what keeps a customer in the state.
"""

from __future__ import annotations

import asyncio
import re
import time

import aiohttp
import msgspec

from bench import crowd
from bench.casework_log import BUNDLE, SECOND
from bench.crowd import Crowd
from bench.part import Part, Say, Table, Target
from bench.running import PATIENCE, Hub, prepared, running
from bench.servers import Servers
from hub.local.process import free_ports
from runtime.clock import SystemClock

_TAKEN = re.compile(r'^hub_restore_seconds_count\{stage="casework"\} ([\d.e+]+)$', re.MULTILINE)
_HELD = re.compile(r'^hub_state_keys\{[^}]*stage="casework"[^}]*\} ([\d.e+]+)$', re.MULTILINE)
_SLOWEST = 3000  # customers taken over in a second, at least


class Load(msgspec.Struct, frozen=True):
    """``few`` and ``many`` customers, beside none at all, each with one ticket of ``mails``."""

    few: int = 100_000
    many: int = 1_000_000
    mails: int = 3


class Held(msgspec.Struct, frozen=True):
    """``resident`` bytes of a worker with so many customers, ``highest`` while it took them over, and the ``seconds``
    from its start until it had them."""

    customers: int
    resident: int
    highest: int
    seconds: float


class MemoryResult(msgspec.Struct, frozen=True):
    """``each``: bytes per customer, from the difference of the worker with many to the one with none."""

    load: Load
    held: list[Held]
    each: int


async def measure(on: Servers, prefix: str, wanted: Load, say: Say) -> MemoryResult:
    """Start a worker on a state of each size."""
    held = []
    for customers in (0, wanted.few, wanted.many):
        found = await _hold(on, f"{prefix}{customers}-", customers, wanted.mails)
        say(f"{customers:,} customers: {found.resident / 1e6:,.0f} MB, after {found.seconds:.1f} s")
        held.append(found)
    each = (held[-1].resident - held[0].resident) / max(wanted.many, 1)
    return MemoryResult(wanted, held, round(each))


async def _hold(on: Servers, prefix: str, customers: int, mails: int) -> Held:
    port = str(free_ports(1)[0])
    async with prepared(on, prefix, f"{prefix}memory".replace("-", "_"), metrics_port=port) as hub:
        # in a day, so that no clock comes due
        await crowd.write(hub.settings, Crowd(customers, BUNDLE, SystemClock().now() + 86_400 * SECOND, mails=mails))
        began, highest = time.monotonic(), 0
        async with running(hub, ("casework",), on.folder / "memory-logs"):
            patience = PATIENCE + customers / _SLOWEST
            async with asyncio.timeout(patience):
                while await _told(hub, port, _TAKEN) < hub.settings.partitions:
                    highest = max(highest, hub.resident().get("casework", 0))
                    await asyncio.sleep(0.1)
            seconds = time.monotonic() - began
            async with asyncio.timeout(patience):
                # told some seconds later; garbage is gone by then
                while await _told(hub, port, _HELD) < customers:  # noqa: ASYNC110 - another process' figure
                    await asyncio.sleep(0.2)
            resident = hub.resident()["casework"]
            return Held(customers, resident, max(highest, resident), round(seconds, 2))


async def _told(hub: Hub, port: str, metric: re.Pattern[str]) -> float:
    """The sum of one of the worker's metrics; less than nothing before the worker says anything of it."""
    try:
        async with hub.http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            found = metric.findall(await answer.text())
    except aiohttp.ClientError:
        return -1
    return sum(map(float, found)) if found else -1


def _tables(found: MemoryResult) -> list[Table]:
    rows = [
        (f"{one.customers:,}", f"{one.resident / 1e6:,.0f}", f"{one.highest / 1e6:,.0f}", f"{one.seconds:.1f}")
        for one in found.held
    ]
    told = (
        f"A customer with one open ticket of {found.load.mails} mails takes {found.each:,} bytes of a worker: a million"
        f" {found.each / 1e3:,.1f} GB, ten million {found.each / 1e2:,.0f} GB, over as many workers as there are"
        " partitions."
    )
    columns = ("open customers in one worker", "MB", "MB at most", "restored after s")
    return [Table(columns, rows, [told])]


def _targets(_found: MemoryResult) -> list[Target]:
    return []  # what memory costs is told; nothing was promised of it


PART = Part("memory", Load(), measure, _tables, _targets)
