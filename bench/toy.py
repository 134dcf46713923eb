"""One small fold that every engine in the comparison runs alike: a customer, a ticket, a clock for the first answer.

Events and entries are Avro (15 and 11 fields), state is msgpack. An engine calls ``read``, ``fold`` and ``write``, and
keeps ``state_bytes`` of each customer it touched in a changelog; everything else is the engine's own. The same stands
in Java in ``peers/kafka-streams``. Imports nothing that the peers' own environment lacks.
"""

from __future__ import annotations

import io
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TypedDict, cast

import fastavro
import msgspec
from fastavro.types import Schema

HOUR = 3600 * 1_000_000
BEGIN = 1_767_600_000_000_000
RECENT = 16
SCHEMAS = Path(__file__).parent / "peers"
_HEADER = struct.pack(">bI", 0, 1)


def _schema(name: str) -> Schema:
    return fastavro.parse_schema(cast("Schema", msgspec.json.decode((SCHEMAS / name).read_bytes())))


_EVENT = _schema("event.avsc")
_ENTRY = _schema("entry.avsc")


class Event(TypedDict):
    """What ``read`` gives."""

    id: str
    type: str
    source: str
    tenant: str
    customer: str
    conversation: str
    occurred_at: int
    received_at: int
    channel: str
    direction: str
    actor: str | None
    team: str | None
    subject: str | None
    text: str | None
    attributes: dict[str, str]


class Entry(TypedDict):
    """What ``fold`` gives and ``write`` takes."""

    id: str
    customer: str
    sequence: int
    type: str
    ticket: str
    status: str
    occurred_at: int
    channel: str
    summary: str | None
    due_at: int | None
    breached: bool


class Ticket(msgspec.Struct, array_like=True):
    """A conversation's ticket. ``due_at``: of its first answer, None once there is one."""

    status: str
    opened_at: int
    due_at: int | None
    answered_at: int | None = None
    breached: bool = False


class Customer(msgspec.Struct, array_like=True):
    """A customer's state. ``recent``: ids of the newest events, to know a second delivery."""

    sequence: int = 0
    recent: list[str] = []
    tickets: dict[str, Ticket] = {}


state_bytes = msgspec.msgpack.Encoder().encode
state_of = msgspec.msgpack.Decoder(Customer).decode


def read(value: bytes) -> Event:
    """The event in a record's value."""
    stream = io.BytesIO(value)
    stream.seek(len(_HEADER))
    return cast("Event", fastavro.schemaless_reader(stream, _EVENT, None))


def write(entry: Entry) -> bytes:
    """An entry as a record's value."""
    return _bytes(_ENTRY, cast("dict[str, object]", entry))


def _bytes(schema: Schema, record: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    stream.write(_HEADER)
    fastavro.schemaless_writer(stream, schema, record)
    return stream.getvalue()


def fold(state: Customer, event: Event) -> Entry | None:
    """Fold an event into its customer's state. None for one that was folded before."""
    if event["id"] in state.recent:
        return None
    state.sequence += 1
    state.recent.append(event["id"])
    del state.recent[:-RECENT]
    at = event["occurred_at"]
    ticket = state.tickets.get(event["conversation"])
    if ticket is None:
        ticket = state.tickets[event["conversation"]] = Ticket("open", at, at + HOUR)
    if event["type"] == "interaction.closed":
        ticket.status = "closed"
    elif event["direction"] == "outbound" and ticket.due_at is not None:
        ticket.answered_at, ticket.breached, ticket.due_at = at, at > ticket.due_at, None
    return Entry(
        id=event["id"],
        customer=event["customer"],
        sequence=state.sequence,
        type=event["type"],
        ticket=event["conversation"],
        status=ticket.status,
        occurred_at=at,
        channel=event["channel"],
        summary=event["text"],
        due_at=ticket.due_at,
        breached=ticket.breached,
    )


def events(count: int, customers: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Made-up events of about 300 bytes, as (customer, value); equal for equal arguments."""
    random = Random(seed)
    kinds = ("chat.message", "chat.message", "chat.message", "interaction.closed")
    for number in range(count):
        customer = random.randrange(customers)
        at = BEGIN + number * 1000
        event = Event(
            id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
            type=kinds[number % 4],
            source="chat/main",
            tenant="default",
            customer=f"customer-{customer:08d}",
            conversation=f"conversation-{customer:08d}-{random.randrange(3)}",
            occurred_at=at,
            received_at=at,
            channel="chat",
            direction="outbound" if number % 2 else "inbound",
            actor=f"agent-{number % 500}",
            team="vendor-a",
            subject=None,
            text="Where is my parcel? It was due on Monday and nothing came. " * 2,
            attributes={"order": f"o-{customer}"},
        )
        yield event["customer"], _bytes(_EVENT, cast("dict[str, object]", event))
