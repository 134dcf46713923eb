"""What every channel adapter is: a name, a check of who sends, and a pure reading of bytes into events.

An adapter knows neither the server that calls it nor Kafka. A door (HTTP, LMTP, a TCP client) makes a ``Delivery`` of
what arrived, calls ``verify`` and ``read``, hands the events to a ``Publisher`` and answers when that has returned.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from schemas.records import InteractionReceived

NAMESPACE = uuid.UUID("6f5c3c1e-7d0e-5a5e-9d4a-1f0b8d7c2a11")
INLINE_LIMIT = 32 * 1024


class Account(msgspec.Struct, frozen=True):
    """One configured account of an adapter: whose data it brings, and the secrets its sender signs with.

    ``name`` is the account's own, as in ``source`` = ``adapter/name``. ``region`` (ISO 3166 alpha-2) completes phone
    numbers without a country code. ``options`` are the adapter's own, each documented in its ``receive.py``.
    """

    tenant: str
    name: str
    secret: str = ""
    verify_token: str = ""
    region: str | None = None
    organisation: str = "own"
    team: str | None = None
    options: dict[str, str] = {}


class Delivery(msgspec.Struct, frozen=True):
    """What arrived, untouched. ``headers`` have lower-case names; ``received_at`` is our clock in microseconds."""

    body: bytes
    received_at: int
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    media_type: str = "application/octet-stream"


class BlobStore(Protocol):
    """Keeps bytes that are too large for a topic. ``put`` returns ``sha256:…`` once the bytes are durable."""

    def put(self, data: bytes) -> str: ...

    def get(self, reference: str) -> bytes:
        """The bytes of a reference. Raises ``KeyError`` when there are none."""
        ...


class Publisher(Protocol):
    """Puts events on the log. Returning means that they are durable; ``Unavailable`` means that they may not be."""

    async def publish(self, events: Sequence[InteractionReceived]) -> None: ...

    async def dead_letter(self, source: str, reason: str, detail: str, body: bytes) -> str:
        """Keep what could not be read, with its reason. Returns the letter's id."""
        ...


class Adapter(Protocol):
    """Reads one vendor's or protocol's deliveries."""

    name: str

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Raise ``SignatureRejected`` unless the account's sender made this delivery."""
        ...

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """The events in a delivery, in the order they happened; none for what is no interaction (a test call).

        Raises ``Unreadable`` when the body can't be read as a whole. A part that is new to the hub becomes
        ``interaction.unmapped``. The same delivery gives the same events with the same ids, at any time.
        """
        ...


def event_id(tenant: str, source: str, native_key: str, event_type: str) -> str:
    """The id of an event: uuid5 of (tenant, source, native key, type), so that a repeated delivery is recognised.

    ``native_key`` is what the source itself calls the event; it must not depend on when or how it was delivered.
    """
    return str(uuid.uuid5(NAMESPACE, "\x1f".join((tenant, source, native_key, event_type))))
