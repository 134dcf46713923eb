"""Asterisk's own counters of its queues: read off at each quarter of an hour, where an account asks for it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from adapters.asterisk_ami.protocol import MessageParser
from adapters.asterisk_ami.receive import MEDIA_TYPE, AsteriskAdapter
from adapters.contract import Delivery
from domain.source_counts import QUARTER, Stated, quarter_of, stated
from hub.local.ami_peer import AmiPeer
from schemas.records import ContactPoint, InteractionReceived
from tests.adapters.asterisk_ami.ami_fakes import ACCOUNT, NOW, SECOND, Blobs
from tests.adapters.asterisk_ami.test_ami_client import running
from tests.shared import requires_shared, shared_path

COUNTING = msgspec.structs.replace(ACCOUNT, options={"queue_counts": "yes"})
AT = quarter_of(NOW)
PARAMS = b"Event: QueueParams\r\nQueue: support\r\nCalls: 2\r\nCompleted: 60\r\nAbandoned: 5\r\n\r\n"


def read(body: bytes, at: int = AT + SECOND, counting: bool = True) -> list[InteractionReceived]:
    delivery = Delivery(body, at, media_type=MEDIA_TYPE)
    return AsteriskAdapter().read(delivery, COUNTING if counting else ACCOUNT, Blobs())


def test_the_counters_of_a_queue_are_readings_of_two_meters() -> None:
    found = read(PARAMS)
    assert [stated(one) for one in found] == [
        Stated("asterisk-ami/pbx", "call.wrapped_up", "support", None, AT, 60),
        Stated("asterisk-ami/pbx", "call.abandoned", "support", None, AT, 5),
    ]
    assert {one.contact_points[0] for one in found} == {ContactPoint("source", "asterisk-ami/pbx", role="other")}
    assert [one.id for one in read(PARAMS, AT + 9 * SECOND)] == [one.id for one in found]


@pytest.mark.parametrize("at", [AT - SECOND, AT + 61 * SECOND])
def test_counters_that_did_not_come_at_a_quarter_are_no_readings(at: int) -> None:
    assert read(PARAMS, at) == []


def test_who_did_not_ask_for_it_gets_none() -> None:
    assert read(PARAMS, counting=False) == []


@requires_shared
@pytest.mark.parametrize("counting", [True, False])
def test_a_captured_answer_gives_its_counters_and_nothing_else(counting: bool) -> None:
    body = shared_path("fixtures", "voice", "asterisk-ami-panoramisk", "queue_status.ami.txt").read_bytes()
    blocks = b"".join(message.raw for message in MessageParser().feed(body + b"\n\n"))
    entry = b"Event: QueueEntry\r\nQueue: support\r\nUniqueid: 1.1\r\nPosition: 1\r\n\r\n"
    counts = [stated(one).count for one in read(blocks + entry, counting=counting)]
    assert counts[:2] == ([60, 5] if counting else [])
    assert all(one.type == "source.counted" for one in read(blocks + entry))


@pytest.mark.parametrize("counting", [True, False])
async def test_the_door_asks_at_the_quarter_and_only_where_it_is_wanted(counting: bool) -> None:
    asked: list[float] = []

    async def once(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) > 1:
            await asyncio.Event().wait()

    peer = AmiPeer("hub", ACCOUNT.secret)
    await peer.start()
    try:
        async with running(peer.port, COUNTING if counting else ACCOUNT, pause=once):
            await peer.until_logged_in()
            if counting:
                await peer.until_action("QueueStatus")
        assert ("QueueStatus" in peer.actions) == counting
        if counting:
            assert 0 < asked[0] <= QUARTER / SECOND
    finally:
        await peer.stop()
