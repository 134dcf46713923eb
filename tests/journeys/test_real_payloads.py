"""What real systems sent, through the real doors: one in, one out. The payloads lie beside the repository."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from adapters.asterisk_ami.protocol import MessageParser
from hub.demo.api import seen
from hub.local.ami_peer import abandoned_call
from tests.journeys.log import balanced
from tests.journeys.running import CONNECT_TOKEN, WHATSAPP_SECRET, Hub, micros
from tests.shared import requires_shared, shared_path

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.kafka,
    pytest.mark.postgres,
    requires_shared,
]
MAILS = ("*.eml", "*.msg", "*.txt")
EVERY = 8


class Accepted(msgspec.Struct):
    """The answer of a door that took a delivery."""

    ids: list[str]


def mails() -> list[Path]:
    """Every eighth of the real mails, the odd and broken ones of each collection among them."""
    found = [path for kind in MAILS for path in shared_path("fixtures", "email").rglob(kind)]
    return sorted(path for path in found if "esp-http" not in path.parts)[::EVERY]


async def deliver(hub: Hub, path: str, files: Iterable[Path], headers: dict[str, str]) -> dict[str, list[str]]:
    """Deliver files to a channel's address. The ids of the events of each; none for one that became a dead letter."""
    found: dict[str, list[str]] = {}
    for file in files:
        body = file.read_bytes()
        signature = hmac.new(WHATSAPP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        signed = headers | {"X-Hub-Signature-256": f"sha256={signature}"}
        answer = await hub.http.post(path, content=body, headers=signed)
        assert answer.status_code < 500, (file.name, answer.text)
        found[file.name] = []
        if "dead letter" not in answer.text:
            assert answer.status_code == 200, (file.name, answer.text)
            found[file.name] = msgspec.json.decode(answer.content, type=Accepted).ids
            assert found[file.name], file.name
    return found


async def arrived(hub: Hub, told: dict[str, list[str]]) -> None:
    """Every event that a door told of is an entry or a dead letter by now, and whatever came in is so once."""
    found = await balanced(hub.settings)
    assert {event for events in told.values() for event in events} <= found.entries.keys() | found.buried


async def test_real_mails(hub: Hub) -> None:
    """Mails from many programs and years, bounces, broken ones: each is kept, as one entry or as a dead letter."""
    sent = mails()
    assert len(sent) > 120
    before = await hub.stored()
    answers = [await hub.mail("", file.read_bytes()) for file in sent]
    refused = [(file.name, answer) for file, answer in zip(sent, answers, strict=True) if answer.code != 250]
    assert refused == []
    buried = sum("dead letter" in answer.text for answer in answers)
    balance = await balanced(hub.settings)
    after = await hub.stored()
    assert after.received - before.received == len(sent) - buried
    letters = [letter for letter in await hub.letters() if letter.source == "email/main"]
    assert len({letter.value for letter in letters}) >= buried
    assert len(balance.entries) > 60


async def test_every_whatsapp_delivery(hub: Hub) -> None:
    """Messages, statuses, calls, echoes and account news, each delivered twice, as WhatsApp may."""
    files = sorted(shared_path("fixtures", "chat", "whatsapp-pywa").glob("*.json"))
    first = await deliver(hub, "/v1/channels/whatsapp/main", files, {})
    assert len(first) > 70
    assert all(first.values()), "WhatsApp's own samples can all be read"
    assert await deliver(hub, "/v1/channels/whatsapp/main", files, {}) == first
    await arrived(hub, first)


async def test_every_amazon_connect_payload(hub: Hub) -> None:
    """Contact events become history; what is none of them, or no JSON, is kept and Amazon does not come again."""
    files = sorted(shared_path("fixtures", "voice", "amazon-connect-docs").iterdir())
    before = await hub.stored()
    told = await deliver(hub, "/v1/channels/amazon-connect/main", files, {"x-hub-token": CONNECT_TOKEN})
    after = await hub.stored()
    buried = sum(not events for events in told.values())
    assert buried + after.received - before.received == len(files) > 50
    assert all(told[file.name] for file in files if file.name.startswith("contact-events") and file.suffix == ".json")
    await arrived(hub, told)


async def test_the_captured_telephone_sessions(hub: Hub) -> None:
    """Everything that was captured of a real Asterisk is played to the hub over TCP; a call after it shows the end."""
    folder = shared_path("fixtures", "voice", "asterisk-ami-panoramisk")
    files = sorted(folder.glob("*.ami.txt"))
    captures = [re.sub(rb"\r?\n", b"\r\n", file.read_bytes()) + b"\r\n\r\n" for file in files]
    told = sum(len(MessageParser().feed(capture)) for capture in captures)
    assert told > 20
    before = await hub.stored()
    await hub.switch.until_logged_in()
    await hub.switch.play(captures)
    number, now = hub.number(), hub.clock.now()
    await hub.switch.play(
        abandoned_call("1767600005.1", number, "shipping", offered=now - micros(9), queued=now - micros(8), gave_up=now)
    )
    assert len(await hub.until_history(number, 4)) == 4
    after = await hub.stored()
    assert after.received - before.received > 4
    assert after.letters - before.letters >= 2, "the captures have two gaps"

    async def look() -> bool:
        return (await hub.stored()) == after

    await seen("an end of it", look)
    await balanced(hub.settings)
