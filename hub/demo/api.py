"""The demonstration's view of the hub: the public HTTP API, as any service would use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import msgspec

T = TypeVar("T")
PATIENCE = 60.0


class Actor(msgspec.Struct):
    """Who did it."""

    kind: str
    team: str | None = None
    organisation: str | None = None


class Entry(msgspec.Struct):
    """A line of a history."""

    type: str
    channel: str
    direction: str
    occurred_at: str
    ticket: str | None
    actor: Actor | None
    subject: str | None
    text: str | None


class Page(msgspec.Struct):
    """A page of a history."""

    entries: list[Entry]


class Verdict(msgspec.Struct):
    """What became of a promise."""

    metric: str
    outcome: str
    judged_at: str


class Ticket(msgspec.Struct):
    """A ticket with its verdicts."""

    id: str
    status: str
    team: str | None
    verdicts: list[Verdict] = []


class Tickets(msgspec.Struct):
    """A list of tickets."""

    tickets: list[Ticket]


class Match(msgspec.Struct):
    """A customer found by a contact point."""

    id: str


class Matches(msgspec.Struct):
    """The customers found."""

    customers: list[Match]


class NotSeen(Exception):
    """What the story waited for did not come."""


class Api:
    """A client with the token."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def ready(self) -> bool:
        """Whether the server answers and has its database."""
        try:
            return (await self._client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Deliver something; raises when it is not taken."""
        answer = await self._client.post(path, content=body, headers=headers)
        if answer.status_code >= 300:
            raise NotSeen(f"{path} answered {answer.status_code}: {answer.text}")

    async def get(self, path: str, kind: type[T], **query: str) -> T:
        """Read something."""
        answer = await self._client.get(path, params=query)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)

    async def customer(self, contact: str) -> str | None:
        """The customer with a contact point."""
        found = await self.get("/v1/customers", Matches, contact=contact)
        return found.customers[0].id if found.customers else None

    async def history(self, contact: str) -> list[Entry]:
        """A customer's history, oldest first."""
        customer = await self.customer(contact)
        if customer is None:
            return []
        return (await self.get(f"/v1/customers/{customer}/timeline", Page, order="asc", limit="200")).entries

    async def tickets(self) -> list[Ticket]:
        """Every ticket with its verdicts."""
        listed = (await self.get("/v1/tickets", Tickets, limit="200")).tickets
        return [await self.get(f"/v1/tickets/{ticket.id}", Ticket) for ticket in listed]


async def seen(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """Look until there is something; raises ``NotSeen`` after a minute."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise NotSeen(f"{what} did not happen within {PATIENCE:.0f} seconds")
