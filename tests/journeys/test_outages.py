"""A server dies under the running hub: who delivers is told the truth, and what was accepted is there once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hub.demo.api import seen
from hub.demo.payloads import SUPPORT, cloud_event, mail, whatsapp
from hub.local.ami_peer import abandoned_call
from tests.journeys.log import balanced
from tests.journeys.running import WHATSAPP_SECRET, Hub, about, micros

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.kafka,
    pytest.mark.postgres,
    pytest.mark.slow,
]
Send = Callable[[], Awaitable[int]]
CALL = ["call.offered", "call.queued", "call.abandoned", "call.ended"]


class Senders:
    """A mail server, WhatsApp, a shop's system and a telephone switch, each with one thing to deliver."""

    def __init__(self, hub: Hub, name: str) -> None:
        self._hub = hub
        self.mailing, self.shopping = hub.somebody(), hub.somebody()
        self.chatting, self.calling = hub.number(), hub.number()
        now = hub.clock.now()
        self._mail = mail(self.mailing, SUPPORT, "A question", "Where is it?\n", now, f"{name}@mail.example")
        self._whatsapp = whatsapp(self.chatting, "Where is it?", now, WHATSAPP_SECRET)
        body, headers = cloud_event("social.posted", now, about(self.shopping))
        headers["Prefer"] = "wait=0"
        self._event = body, headers
        self._call = abandoned_call(
            name, self.calling, "shipping", offered=now - micros(60), queued=now - micros(55), gave_up=now
        )

    async def mail(self) -> int:
        """Deliver the mail; the LMTP status."""
        return (await self._hub.mail(self.mailing, self._mail)).code

    async def whatsapp(self) -> int:
        """Deliver the message; the HTTP status."""
        body, headers = self._whatsapp
        return (await self._hub.http.post("/v1/channels/whatsapp/main", content=body, headers=headers)).status_code

    async def event(self) -> int:
        """Post the event; the HTTP status. An answer of 503 says when to come again."""
        body, headers = self._event
        answer = await self._hub.http.post("/v1/events", content=body, headers=headers)
        assert answer.status_code != 503 or int(answer.headers["Retry-After"]) > 0
        return answer.status_code

    async def call(self) -> None:
        """Tell of the call. A switch is given no answer and says nothing twice."""
        await self._hub.switch.play(self._call)

    async def all_at_once(self) -> list[int]:
        """Everybody delivers at the same time."""
        await self.call()
        return list(await asyncio.gather(self.mail(), self.whatsapp(), self.event()))

    async def arrived(self) -> None:
        """Wait until all of it stands in the histories, and check that it stands there once."""
        for contact, types in {
            self.mailing: ["email.received"],
            self.chatting: ["message.received"],
            self.shopping: ["social.posted"],
            self.calling: CALL,
        }.items():
            found = await self._hub.until_history(contact, len(types))
            assert sorted(entry.type for entry in found) == sorted(types)


async def until(status: set[int], send: Send) -> None:
    """Deliver again and again, as every sender does, until it is accepted."""

    async def look() -> bool:
        return await send() in status

    await seen("an accepted delivery", look)


@pytest.fixture
def own_servers(hub: Hub) -> None:
    """Only servers that were started here may be killed."""
    if hub.stack.kafka is None or hub.stack.postgres is None:
        pytest.skip("HUB_KAFKA or HUB_POSTGRES names a server, which is not ours to kill")


@pytest.mark.usefixtures("own_servers")
async def test_kafka_is_down(hub: Hub) -> None:
    """Kafka is killed: HTTP says 503, mail 451, the switch has to wait; each comes again, and all is there once."""
    assert hub.stack.kafka is not None
    before, during = Senders(hub, "1767600003.1"), Senders(hub, "1767600003.2")
    assert await before.all_at_once() == [250, 200, 202]
    await before.arrived()

    for node in hub.stack.kafka.nodes:
        await asyncio.to_thread(node.kill)
    try:
        assert await during.all_at_once() == [451, 503, 503]
        # What is known can be read all the same.
        await before.arrived()
        assert (await hub.http.get("/readyz")).status_code == 200
    finally:
        await asyncio.to_thread(hub.stack.kafka.start)
    await until({250}, during.mail)
    await until({200}, during.whatsapp)
    await until({202}, during.event)
    await during.arrived()
    await balanced(hub.settings)


@pytest.mark.usefixtures("own_servers")
async def test_postgres_is_down(hub: Hub) -> None:
    """PostgreSQL is killed: every door still takes in, readers are told 503, and afterwards all of it can be read."""
    assert hub.stack.postgres is not None
    before, during = Senders(hub, "1767600004.1"), Senders(hub, "1767600004.2")
    assert await before.all_at_once() == [250, 200, 202]
    await before.arrived()

    await asyncio.to_thread(hub.stack.postgres.kill)
    try:
        assert await during.all_at_once() == [250, 200, 202]
        for path in ("/v1/tickets", "/readyz", f"/v1/customers?contact={before.shopping}"):
            answer = await hub.http.get(path)
            assert (answer.status_code, answer.json()["reason"]) == (503, "postgres_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert (await hub.http.get("/healthz")).status_code == 200
    finally:
        await asyncio.to_thread(hub.stack.postgres.start)
    await seen("readable tickets", lambda: _readable(hub))
    await during.arrived()
    after = Senders(hub, "1767600004.3")
    assert await after.all_at_once() == [250, 200, 202]
    await after.arrived()
    await balanced(hub.settings)


async def _readable(hub: Hub) -> bool:
    return (await hub.http.get("/v1/tickets")).status_code == 200
