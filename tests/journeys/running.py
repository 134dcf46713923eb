"""A whole hub for the journeys: real servers of its own, every process as it runs in production, all doors open.

Time is moved by the clock file. What a journey looks at is what any client sees: the HTTP API, answers at the doors,
and the topics.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx
import msgspec

from hub.dead_letters import Letter, letters
from hub.demo.api import seen
from hub.demo.payloads import SUPPORT, cloud_event, mail, whatsapp
from hub.local.ami_peer import AmiPeer
from hub.local.stack import LocalStack
from hub.supervisor import Supervisor
from runtime.clock import SECOND, MovableClock
from runtime.settings import Settings
from tests.journeys.log import sizes

T = TypeVar("T")
WHATSAPP_SECRET, CONNECT_TOKEN, API_TOKEN = "app-secret", "connection-token", "api-token"


class Entry(msgspec.Struct):
    """A line of a history."""

    event: str
    type: str
    source: str
    occurred_at: str
    received_at: str
    ticket: str | None
    joined_because: str | None
    subject: str | None
    text: str | None


class Verdict(msgspec.Struct):
    """What became of a promise."""

    metric: str
    outcome: str
    quiet: str | None
    started_at: str


class Ticket(msgspec.Struct):
    """A ticket; its verdicts where it was asked for alone."""

    id: str
    status: str
    team: str | None
    follows: str | None
    opened_at: str
    closed_at: str | None
    interactions: int
    verdicts: list[Verdict] = []


class _Timeline(msgspec.Struct):
    entries: list[Entry]


class _Tickets(msgspec.Struct):
    tickets: list[Ticket]


class _Match(msgspec.Struct):
    id: str


class _Matches(msgspec.Struct):
    customers: list[_Match]


class Answer(NamedTuple):
    """What the mail door says to a mail's content."""

    code: int
    text: str


class Stored(NamedTuple):
    """How much the hub keeps: records that came in, dead letters, and files of large payloads."""

    received: int
    letters: int
    blobs: int


@dataclass(slots=True, repr=False)
class Hub:
    """A running hub, and how the world reaches it. ``http`` sends the API token with each request."""

    settings: Settings
    environment: Mapping[str, str]
    stack: LocalStack
    supervisor: Supervisor
    clock: MovableClock
    switch: AmiPeer
    http: httpx.AsyncClient
    logs: Path
    _people: int = field(default=0)

    def somebody(self) -> str:
        """A mail address that no other journey uses."""
        self._people += 1
        return f"customer-{self._people}@mail.example"

    def number(self) -> str:
        """A phone number that no other journey uses."""
        self._people += 1
        return f"+4930901820{self._people:02}"

    # --- what others do to it

    async def mail(self, sender: str, body: bytes, to: str = SUPPORT) -> Answer:
        """Hand a mail over as the company's mail server does."""
        return await asyncio.to_thread(_deliver, self.settings.lmtp_port, sender, body, to)

    async def question(self, sender: str, message_id: str, at: int | None = None, answers: str = "") -> Answer:
        """A customer's mail, written at ``at`` (microseconds; default: now)."""
        when = self.clock.now() if at is None else at
        return await self.mail(sender, mail(sender, SUPPORT, "A question", "Where is it?\n", when, message_id, answers))

    async def whatsapp(self, number: str, text: str, at: int | None = None) -> httpx.Response:
        """A signed delivery with one message."""
        when = self.clock.now() if at is None else at
        body, headers = whatsapp(number, text, when, WHATSAPP_SECRET)
        return await self.http.post("/v1/channels/whatsapp/main", content=body, headers=headers)

    async def event(self, event_type: str, data: dict[str, object], at: int | None = None) -> httpx.Response:
        """Post a CloudEvent; the answer comes when the read model has it."""
        body, headers = cloud_event(event_type, self.clock.now() if at is None else at, data)
        return await self.http.post("/v1/events", content=body, headers=headers)

    # --- what others see of it

    async def get(self, path: str, kind: type[T], **query: str) -> T:
        """Read something from the API."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=kind)

    async def history(self, contact: str) -> list[Entry]:
        """The history of whom a contact point belongs to, oldest first; empty while nobody has it."""
        found = (await self.get("/v1/customers", _Matches, contact=contact)).customers
        if not found:
            return []
        path = f"/v1/customers/{found[0].id}/timeline"
        return (await self.get(path, _Timeline, order="asc", limit="200")).entries

    async def until_history(self, contact: str, length: int) -> list[Entry]:
        """The history once it has this many entries."""

        async def look() -> list[Entry] | None:
            found = await self.history(contact)
            return found if len(found) >= length else None

        return await seen(f"entry {length} of {contact}", look)

    async def tickets(self, contact: str) -> list[Ticket]:
        """The tickets of whom a contact point belongs to, each with its verdicts, oldest first."""
        found = (await self.get("/v1/customers", _Matches, contact=contact)).customers
        if not found:
            return []
        listed = (await self.get("/v1/tickets", _Tickets, customer=found[0].id)).tickets
        return [await self.get(f"/v1/tickets/{each.id}", Ticket) for each in reversed(listed)]

    async def until_ticket(self, contact: str, wanted: Callable[[Ticket], bool] = lambda _: True) -> Ticket:
        """The first ticket of a person that is as wanted."""

        async def look() -> Ticket | None:
            return next((each for each in await self.tickets(contact) if wanted(each)), None)

        return await seen(f"the ticket of {contact}", look)

    async def until_letter(self, wanted: Callable[[Letter], bool]) -> Letter:
        """The first dead letter that is as wanted."""

        async def look() -> Letter | None:
            return next((letter for letter in await self.letters() if wanted(letter)), None)

        return await seen("the dead letter", look)

    async def until_letters(self, count: int, wanted: Callable[[Letter], bool]) -> list[Letter]:
        """The dead letters that are as wanted, once there are so many."""

        async def look() -> list[Letter] | None:
            found = [letter for letter in await self.letters() if wanted(letter)]
            return found if len(found) >= count else None

        return await seen(f"{count} dead letters", look)

    async def letters(self) -> list[Letter]:
        """Every dead letter."""
        return [letter async for letter in letters(self.settings)]

    async def counted(self, adapter: str, outcome: str) -> float:
        """How many deliveries of an HTTP door ended like this, by its metrics."""
        text = (await self.http.get("/metrics")).text
        labels = f'hub_deliveries_received_total{{adapter="{adapter}",outcome="{outcome}"}}'
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(labels)), 0.0)

    # --- what it keeps

    async def stored(self) -> Stored:
        """What lies on the incoming topics and in the folder for large payloads."""
        names = [self.settings.topic(name) for name in ("interaction-received", "interaction-received-dlq")]
        received, kept = await asyncio.to_thread(sizes, self.settings.kafka, names)
        blobs = sum(path.is_file() for path in self.settings.blob_folder.rglob("*"))
        return Stored(received, kept, blobs)

    @asynccontextmanager
    async def storing_nothing(self) -> AsyncIterator[None]:
        """Fails if the hub keeps anything of what is delivered in the block."""
        before = await self.stored()
        yield
        assert await self.stored() == before


def about(contact: str) -> dict[str, object]:
    """The data of a CloudEvent by which a customer with this mail address turns to the company."""
    point = {"kind": "email", "value": contact}
    return {"channel": "web", "direction": "inbound", "contact_points": [point]}


def micros(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * SECOND)


def _deliver(port: int, sender: str, body: bytes, to: str) -> Answer:
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as door:
        door.ehlo_or_helo_if_needed()
        for code, text in (door.mail(sender), door.rcpt(to)):
            if code >= 300:
                return Answer(code, text.decode())
        code, text = door.data(re.sub(rb"\r?\n", b"\r\n", body))
        return Answer(code, text.decode())
