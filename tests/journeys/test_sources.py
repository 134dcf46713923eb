"""A source that numbers its events and says how many it sent finds out which of them never arrived."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.source_counts import QUARTER, SOURCE, quarter_of, statement
from hub.demo.api import seen
from tests.journeys.log import balanced
from tests.journeys.running import Hub

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.kafka, pytest.mark.postgres]
Json = dict[str, Any]  # Any: a JSON document


async def post(hub: Hub, type: str, id: str, at: int, **data: object) -> None:
    """Send one CloudEvent of the shop; accepted, or the journey ends."""
    document = {"specversion": "1.0", "id": id, "source": "shop/main", "type": type}
    body = json.dumps(document | {"data": {"channel": "in_person", "direction": "inbound", "occurred_at": at} | data})
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = await hub.http.post("/v1/events", content=body.encode(), headers=headers)
    assert answer.status_code == 202, answer.text


async def test_what_never_arrived_is_told_by_its_number_and_by_the_count(hub: Hub) -> None:
    """Visits 1, 2 and 4 arrive, and a meter that says 4: number 3 is missing, until it is sent again."""
    until = quarter_of(hub.clock.now())
    contact = [{"kind": "email", "value": hub.somebody()}]

    async def visit(number: int) -> None:
        at = until - QUARTER + number
        await post(
            hub, "visit.recorded", f"v{number}", at, contact_points=contact, conversation="till", sequence=number
        )

    async def shop(events: int) -> Json | None:
        [*found] = (await hub.http.get("/v1/sources", params={"source": "shop/main"})).json()["sources"]
        return found[0] if found and found[0]["events"] == events else None

    for number in (1, 2, 4):
        await visit(number)
    for at, total in ((until - QUARTER, 100), (until, 104)):
        attributes = statement("visit.recorded", at, total, "")
        await post(hub, "source.counted", f"m{at}", at, attributes=attributes)
    found = await seen("five events of the shop", lambda: shop(5))
    [stream] = found["streams"]
    assert (stream["conversation"], [(gap["first"], gap["last"]) for gap in stream["gaps"]]) == ("till", [(3, 3)])
    [count] = found["counts"]
    assert (count["stated"], count["received"]) == (4, 3)

    await visit(3)
    found = await seen("the sixth", lambda: shop(6))
    assert (found["streams"], found["missing"]) == ([], 0)
    assert (found["counts"][0]["stated"], found["counts"][0]["received"]) == (4, 4)
    [match] = (await hub.http.get("/v1/customers", params={"contact": "shop/main", "kind": SOURCE})).json()["customers"]

    async def history() -> list[str] | None:
        entries = (await hub.http.get(f"/v1/customers/{match['id']}/timeline")).json()["entries"]
        return [entry["type"] for entry in entries] if len(entries) > 1 else None

    assert await seen("both statements", history) == ["source.counted", "source.counted"]
    await balanced(hub.settings)
