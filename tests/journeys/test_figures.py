"""Calls of two telephone systems, as they tell of them, become the figures that a client and a vendor read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.demo.api import seen
from hub.http.answers import when, written
from hub.local.ami_peer import abandoned_call, answered_call
from tests.domain.calls import agent, queue, stamp
from tests.journeys.running import CONNECT_TOKEN, Hub, micros

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.kafka, pytest.mark.postgres]
Json = dict[str, Any]  # Any: a JSON document
DAY = micros(86_400)
CALLER = {"type": "TELEPHONE_NUMBER", "address": "+4930901820"}


async def figures(hub: Hub, name: str) -> Json | None:
    """The figures of a queue over the last day, once there are any."""
    now = hub.clock.now()
    period = {"from": written(when(now - DAY)), "to": written(when(now + DAY)), "queue": name}
    answer = await hub.http.get("/v1/figures", params=period)
    assert answer.status_code == 200, answer.text
    groups = answer.json()["groups"]
    return groups[0]["figures"] if groups else None


async def connect(hub: Hub, number: str, event_type: str, detail: Json) -> None:
    """One contact event of Amazon Connect, through its own address."""
    told = {"contactId": number, "channel": "VOICE", "eventType": event_type, "initiationMethod": "INBOUND", **detail}
    body = {"id": f"{number}-{event_type}", "detail-type": "Amazon Connect Contact Event", "detail": told}
    headers = {"x-hub-token": CONNECT_TOKEN, "Content-Type": "application/json"}
    path = "/v1/channels/amazon-connect/main"
    answer = await hub.http.post(path, content=json.dumps(body).encode(), headers=headers)
    assert answer.status_code == 200, answer.text


async def test_asterisk_one_answered_and_two_who_gave_up(hub: Hub) -> None:
    """Answered after 12 s; one gave up after 3 s, which is a short abandon, and one after 40 s."""
    await hub.switch.until_logged_in()
    at = hub.clock.now() - micros(600)
    call = f"figures-{at}"
    await hub.switch.play(
        answered_call(
            f"{call}.1", hub.number(), "repairs", "Agent/7", offered=at, queued=at, answered=at + micros(12),
            ended=at + micros(72),
        )
    )  # fmt: skip
    for number, waits in ((2, 3), (3, 40)):
        gone = at + micros(waits)
        await hub.switch.play(
            abandoned_call(f"{call}.{number}", hub.number(), "repairs", offered=at, queued=at, gave_up=gone)
        )

    async def whole() -> Json | None:
        found = await figures(hub, "repairs")
        return found if found and found["abandonment"]["denominator"] == 3 else None

    found = await seen("three calls", whole)
    assert (found["service_level"]["numerator"], found["service_level"]["denominator"]) == (1, 2)
    assert found["service_level"]["formula"] == "answered_within_of_offered_less_short"
    assert found["abandonment"]["numerator"] == 2
    assert found["average_speed_of_answer"]["value"] == 12
    assert found["average_handling_time"]["value"] == 60


async def test_amazon_connect_tells_late_and_twice(hub: Hub) -> None:
    """The answer arrives after the end, and the end twice; the figure is the one of a call that waited 20 s."""
    at = hub.clock.now() - micros(600)
    number = f"c-{at}"
    waits = {"customerEndpoint": CALLER, **queue("returns", at)}
    served = {**waits, **agent("a-1", at + micros(20), at + micros(110), 30.0)}
    ended = {**served, "disconnectTimestamp": stamp(at + micros(100))}
    await connect(hub, number, "INITIATED", {"customerEndpoint": CALLER, "initiationTimestamp": stamp(at)})
    await connect(hub, number, "QUEUED", waits)
    await connect(hub, number, "DISCONNECTED", ended)
    await connect(hub, number, "COMPLETED", ended)
    await connect(hub, number, "CONNECTED_TO_AGENT", served)
    await connect(hub, number, "DISCONNECTED", ended)

    async def whole() -> Json | None:
        found = await figures(hub, "returns")
        return found if found and found["average_handling_time"]["numerator"] == 90 else None

    found = await seen("a call with its talk, hold and wrap-up", whole)
    assert (found["service_level"]["numerator"], found["service_level"]["denominator"]) == (1, 1)
    assert found["average_speed_of_answer"]["value"] == 20
    assert found["average_handling_time"]["notes"] == {"vendor_talks": 1}
