"""Sources over HTTP: what came, what is missing, and the source's own counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from domain.sequences import LARGEST
from projections.positions.store import Place, Step
from projections.sources import store
from projections.sources.store import Batch, Counted, Number, SourceKey, Span, StreamKey, Sum
from tests.http.serving import Served, serving
from tests.projections.samples import MINUTE, NOON

pytestmark = pytest.mark.postgres
QUARTER = 15 * MINUTE


@pytest.fixture
async def served(dsn: str) -> AsyncIterator[Served]:
    """Two sources of two tenants, a day before and at NOON; it is ten past NOON."""
    batch = Batch(
        sums={
            SourceKey("default", "pbx/berlin"): Sum(9, NOON - 24 * 60 * MINUTE, NOON, NOON),
            SourceKey("other", "shop"): Sum(1, NOON, NOON, NOON),
        },
        received={
            (Counted("default", "pbx/berlin", "call.offered", "support"), NOON - QUARTER): 3,
            (Counted("default", "pbx/berlin", "call.offered", ""), NOON - QUARTER): 2,
            (Counted("default", "pbx/berlin", "call.offered", ""), NOON - 24 * 60 * MINUTE): 4,
        },
        streams={
            StreamKey("default", "pbx/berlin", "c"): [Number(1, NOON, None), Number(4, NOON, None)],
            StreamKey("default", "pbx/berlin", ""): [Number(7, NOON, 0), Number(LARGEST, NOON + 10 * MINUTE, None)],
        },
        stated={Counted("default", "pbx/berlin", "call.offered", ""): [Span(NOON - QUARTER, NOON, 8)]},
    )
    connection = await asyncpg.connect(dsn)
    await store.take(connection, [Place("t", 0)])
    assert await store.add(connection, batch, {Place("t", 0): Step(0, 1)}) == set()
    await connection.close()
    async with serving(dsn) as found:
        yield found


async def test_a_source_with_its_gaps_and_counts(served: Served) -> None:
    answer = await served.http.get("/v1/sources?source=pbx/berlin")
    assert answer.status_code == 200, answer.text
    [found] = answer.json()["sources"]
    streams = {stream["conversation"]: stream for stream in found.pop("streams")}
    huge = LARGEST - 1 - 7
    assert found == {
        "tenant": "default", "source": "pbx/berlin", "events": 9, "events_today": 5,
        "first_at": "2026-01-01T12:00:00.000000Z", "last_at": "2026-01-02T12:00:00.000000Z",
        "gaps": 3, "missing": 2 + 7 + huge, "overdue_gaps": 2, "overdue_missing": 9, "difference": 3,
        "counts": [{
            "type": "call.offered", "queue": None, "since": "2026-01-02T11:45:00.000000Z",
            "until": "2026-01-02T12:00:00.000000Z", "stated": 8, "received": 5, "settled": True,
        }],
    }  # fmt: skip
    assert streams["c"]["gaps"] == [{"first": 2, "last": 3, "since": "2026-01-02T12:00:00.000000Z"}]
    assert [gap["first"] for gap in streams[None]["gaps"]] == [0, 8]


async def test_all_sources_come_in_the_order_they_were_first_heard_of(served: Served) -> None:
    answer = (await served.http.get("/v1/sources")).json()
    assert [source["source"] for source in answer["sources"]] == ["pbx/berlin", "shop"]
    assert answer["sources"][1]["difference"] is None
    answer = (await served.http.get("/v1/sources?tenant=other")).json()
    assert [source["source"] for source in answer["sources"]] == ["shop"]
    assert (await served.http.get("/v1/sources?tenant=nobody")).json() == {"sources": []}


async def test_a_name_that_no_table_can_hold_names_no_source(served: Served) -> None:
    for asked in ({"tenant": "a\x00b"}, {"source": "\x00"}):
        answer = await served.http.get("/v1/sources", params=asked)
        assert (answer.status_code, answer.json()) == (200, {"sources": []})


async def test_nobody_reads_them_without_the_token(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as stranger:
        answer = await stranger.get("/v1/sources")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
