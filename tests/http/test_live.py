"""Live histories: what is new arrives by itself, once, in order, and nothing is missed in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import fastapi.sse
import httpx
import pytest

from consumers.projector import Batch, write
from hub.http.live import Signals, follow
from hub.http.problems import Refused
from projections.postgres import connect, open_pool
from schemas.records import TimelineEntryAdded
from tests.http.serving import Served, serving
from tests.projections.gateway import Gateway
from tests.projections.samples import CUSTOMER, entry, uid

pytestmark = pytest.mark.postgres
PATH = f"/v1/customers/{CUSTOMER}/timeline/live"


class Stream:
    """An open live timeline; each event as (id, text)."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return await anext(self._lines)

    async def event(self) -> tuple[int, str]:
        fields: dict[str, str] = {}
        while (line := await self.line()) or "id" not in fields:
            name, _, value = line.partition(": ")
            fields[name] = value
        assert fields["event"] == "entry"
        found = httpx.Response(200, content=fields["data"]).json()
        return int(fields["id"]), found["text"]

    async def events(self, count: int) -> list[int]:
        return [(await self.event())[0] for _ in range(count)]


@asynccontextmanager
async def watching(served: Served, query: str = "", last: int | None = None) -> AsyncIterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with served.http.stream("GET", PATH + query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer)
        assert await stream.line() == ": watching"
        yield stream


async def _add(dsn: str, entries: Sequence[TimelineEntryAdded]) -> None:
    """As the projector does it, notification and all."""
    connection = await connect(dsn)
    await write(connection, Batch(entries=list(entries)))
    await connection.close()


@pytest.fixture
async def served(dsn: str) -> AsyncIterator[Served]:
    await _add(dsn, [entry(n) for n in range(1, 6)])
    async with serving(dsn) as found:
        yield found


async def test_what_is_new_arrives_once_and_in_order(served: Served, dsn: str) -> None:
    async with watching(served, "?after=5") as stream:
        for start in (6, 8):
            await _add(dsn, [entry(start), entry(start + 1), entry(1, customer=uid("other"))])
            assert await stream.event() == (start, f"Message {start}")
            assert await stream.event() == (start + 1, f"Message {start + 1}")


async def test_a_stream_goes_on_after_the_last_event_received(served: Served, dsn: str) -> None:
    async with watching(served, "?after=0") as stream:
        assert await stream.events(2) == [1, 2]
    await _add(dsn, [entry(n) for n in range(6, 400)])  # while nobody watches, and more than a page
    async with watching(served, "?after=0", last=2) as stream:
        assert await stream.events(397) == list(range(3, 400))


async def test_without_a_place_to_begin_only_what_is_new_is_told(served: Served, dsn: str) -> None:
    async with watching(served) as stream:
        await _add(dsn, [entry(6)])
        assert (await stream.event())[0] == 6


async def test_several_may_watch_the_same_customer(served: Served, dsn: str) -> None:
    async with watching(served, "?after=5") as one, watching(served, "?after=4") as two:
        await _add(dsn, [entry(6)])
        assert await one.events(1) == [6]
        assert await two.events(2) == [5, 6]


async def test_nothing_is_missed_while_postgres_is_away(dsn: str) -> None:
    await _add(dsn, [entry(1)])
    async with Gateway(dsn) as gateway, serving(gateway.dsn) as served, watching(served, "?after=0") as stream:
        assert await stream.events(1) == [1]
        gateway.down()
        await _add(dsn, [entry(2)])  # its notification reaches nobody
        await gateway.up()
        assert await stream.events(1) == [2]
        await _add(dsn, [entry(3)])
        assert await stream.events(1) == [3]


async def test_a_silent_stream_is_kept_alive_by_comments(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastapi.sse._PING_INTERVAL == 15  # seconds
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    async with watching(served, "?after=5") as stream:
        lines = [await stream.line() for _ in range(5)]
    assert ": ping" in lines


@pytest.mark.parametrize("last", ["abc", "-1", "1.5"])
async def test_a_last_event_id_that_is_no_sequence_is_refused(served: Served, last: str) -> None:
    answer = await served.http.get(PATH, headers={"Last-Event-ID": last})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_there_is_a_limit_to_how_many_watch(dsn: str) -> None:
    signals = Signals(dsn, most=1)
    with signals.watch(CUSTOMER):
        with pytest.raises(Refused) as refused:
            signals.admit()
        assert refused.value.status_code == 503
    signals.admit()
    assert signals.watched(CUSTOMER) == 0


async def test_who_reads_slowly_gets_all_of_it_and_holds_only_a_page(dsn: str) -> None:
    await _add(dsn, [entry(n) for n in range(1, 501)])
    pool = await open_pool(dsn)
    signals = Signals(dsn)
    listening = asyncio.create_task(signals.run())
    got: list[int] = []
    async for entries in follow(pool, signals, CUSTOMER, 0):
        assert len(entries) <= 100
        got += [each.sequence for each in entries]
        if got[-1] == 100:
            await _add(dsn, [entry(n) for n in range(501, 601)])  # while it is busy with the first page
        if got[-1] == 600:
            break
    assert got == list(range(1, 601))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await pool.close()
