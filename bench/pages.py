"""How long a page of somebody's history takes over HTTP, with many entries of many customers in PostgreSQL.

The entries are made in the database, and its indexes after them, by their own definitions from the migrations: to bring
ten million in by events would take most of an hour. Customers are asked for at random, one after the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from random import Random

import msgspec

from bench.casework_log import BEGIN
from bench.identity import known
from bench.measuring import Spread, spread
from bench.part import Part, Say, Table, Target, below
from bench.running import Hub, prepared, running
from bench.servers import Servers
from projections.sql import load

_HISTORY = load(__file__, "history")
_INDEXES = load(__file__, "history_indexes")
_DROP_INDEX = load(__file__, "drop_index")
_DROP_KEY = load(__file__, "drop_history_key")
_ADD_KEY = load(__file__, "add_history_key")
_SETTLED = load(__file__, "settled_history")
_AT_ONCE = 500_000
_LONGEST = 3600.0  # seconds for one statement


class Load(msgspec.Struct, frozen=True):
    """``entries`` of as many customers as give ``each`` of them so many; ``pages`` of ``limit`` entries are read."""

    entries: int = 10_000_000
    each: int = 100
    pages: int = 2000
    limit: int = 50


class PagesResult(msgspec.Struct, frozen=True):
    """``first``: from asking for a customer's newest entries to the whole answer; ``second``: of the page after it."""

    load: Load
    loading_seconds: float
    first: Spread
    second: Spread
    restarts: int


async def measure(on: Servers, prefix: str, wanted: Load, say: Say) -> PagesResult:
    """Make the entries, and read pages of customers."""
    async with prepared(on, prefix, f"{prefix}pages".replace("-", "_")) as hub:
        customers = max(wanted.entries // wanted.each, 1)
        began = time.monotonic()
        await known(hub, customers)
        await _make(hub, wanted.entries, customers, say)
        loading = time.monotonic() - began
        say(f"{wanted.entries:,} entries of {customers:,} customers made in {loading:.0f} s; reading pages")
        async with running(hub, ("http",), on.folder / "pages-logs"):
            await hub.ready()
            first, second = await _read(hub, customers, wanted)
            return PagesResult(wanted, round(loading, 1), spread(first), spread(second), hub.restarts)


async def _make(hub: Hub, entries: int, customers: int, say: Say) -> None:
    connection = hub.reading
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(_DROP_INDEX.replace("NAME", index["indexname"]))
    await connection.execute(_DROP_KEY)
    for first in range(0, entries, _AT_ONCE):
        last = min(first + _AT_ONCE, entries) - 1
        await connection.execute(_HISTORY, hub.settings.tenant, BEGIN, customers, first, last, timeout=_LONGEST)
    say("making the indexes")
    for statement in (_ADD_KEY, *(index["indexdef"] for index in indexes), _SETTLED):
        await connection.execute(statement, timeout=_LONGEST)


async def _read(hub: Hub, customers: int, wanted: Load) -> tuple[list[float], list[float]]:
    random = Random(1)
    first, second = list[float](), list[float]()
    for number in range(wanted.pages + wanted.pages // 10):
        name = f"customer-{random.randrange(customers)}"
        customer = uuid.UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())  # as load.sql makes them
        url = f"{hub.url}/v1/customers/{customer}/timeline?limit={wanted.limit}"
        took, following = await _page(hub, url)
        if number < wanted.pages // 10:  # connections and plans are there after these
            continue
        first.append(took)
        if following is not None:
            second.append((await _page(hub, f"{url}&cursor={following}"))[0])
    return first, second


class _Page(msgspec.Struct):
    entries: list[msgspec.Raw]
    next: str | None


async def _page(hub: Hub, url: str) -> tuple[float, str | None]:
    began = time.perf_counter()
    async with hub.http.get(url) as answer:
        body = await answer.read()
    took = time.perf_counter() - began
    if answer.status != 200:
        raise RuntimeError(f"{url} answered {answer.status}: {body.decode(errors='replace')}")
    page = msgspec.json.decode(body, type=_Page)
    if not page.entries:
        raise RuntimeError(f"{url} has no entries")
    await asyncio.sleep(0)
    return took, page.next


def _tables(found: PagesResult) -> list[Table]:
    load = found.load
    rows = [
        found.first.row(f"a page of {load.limit} entries, of {load.entries:,} in the table"),
        found.second.row("the page after it"),
    ]
    told = f"The entries were made in {found.loading_seconds:.0f} s; restarts: {found.restarts}."
    return [Table(("milliseconds", *Spread.COLUMNS), rows, [told])]


def _targets(found: PagesResult) -> list[Target]:
    return [below(f"timeline page, {found.load.entries:,} entries, p99", found.first.p99, 10, " ms")]


PART = Part("pages", Load(), measure, _tables, _targets)
