"""A state of many customers with one open ticket each, put straight into casework's changelog, as a worker leaves it.

One customer is folded by the product's own rules; the others are that state with ids and instants of their own, in the
product's own encoding. To bring a million of them in by mails would take minutes and measure something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec
from aiokafka.structs import ConsumerRecord

from bench.filling import fill
from runtime.appending import Headers, Item
from runtime.changelog import Position, entry, position_entry
from runtime.settings import Settings
from schemas.casework_state import CustomerState
from schemas.codec import Codec
from schemas.records import (
    Actor,
    ConfigurationPublished,
    ContactPoint,
    InteractionReceived,
    MailFacts,
    TimeAdvanced,
)
from streams.casework import CaseworkFold, CaseworkTopics
from streams.identity import DECIDED_BY, partition_of

VERSION = 1  # of the first bundle that is published on a fresh database, as the crowd's tickets name it
SECOND = 1_000_000
_decode = msgspec.msgpack.Decoder(CustomerState).decode
_encode = msgspec.msgpack.Encoder().encode
TOPICS = CaseworkTopics("identified", "entries", "tickets", "verdicts", "dlq", "changelog")


class Crowd(NamedTuple):
    """``bundle``: the configuration in force; ``written_at``: the instant (µs) of the first customer's first mail, and
    each one's is ``apart`` µs after the one before; ``mails``: on each ticket, by the customer and an agent in turn."""

    size: int
    bundle: Mapping[str, object]
    written_at: int
    apart: int = 0
    mails: int = 1


def mail(id_: str, at: int, tenant: str, conversation: str, contact: str, answer: bool = False) -> InteractionReceived:
    """A short mail of a customer, or the answer to one."""
    return InteractionReceived(
        id=id_,
        type="email.sent" if answer else "email.received",
        tenant=tenant,
        source="bench/main",
        channel="email",
        direction="outbound" if answer else "inbound",
        occurred_at=at,
        received_at=at,
        conversation=conversation,
        contact_points=[ContactPoint("email", contact, verified=True)],
        actor=Actor("agent", "agent-1", "first-line", "own") if answer else Actor("customer"),
        subject="Where is order 4711?",
        text="My parcel was due on Monday and nothing came.",
        facts=MailFacts(message_id=f"<{id_}@example.com>", mailbox="support@example.com"),
    )


def uuids(seed: int) -> Iterator[str]:
    """Ids, the same for one seed."""
    random = Random(seed)
    while True:
        digits = f"{random.getrandbits(128):032x}"
        yield f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


async def write(settings: Settings, crowd: Crowd) -> None:
    """Write the crowd to the changelog, spread over its partitions as casework itself spreads customers.

    The stage's input log, which must be empty, gets the one record per partition that the state is said to come from.
    """
    partitions = settings.partitions
    began = Item(None, Codec().encode(TimeAdvanced(crowd.written_at)))
    log = settings.topic("interaction-identified")
    await fill(settings.kafka, log, partitions, ((partition, began) for partition in range(partitions)))
    changelog = settings.topic("casework-changelog")
    await fill(settings.kafka, changelog, partitions, items(settings.tenant, partitions, crowd))


def items(tenant: str, partitions: int, crowd: Crowd) -> Iterator[tuple[int, Item]]:
    """The changelog's records, each with its partition: the bundle, the customers, and the position behind them."""
    reserved, template, mark = _folded(tenant, crowd)
    for partition in range(partitions):
        for each in reserved:
            yield partition, each
    for customer, value in _states(template, crowd):
        yield partition_of(customer, partitions), entry(customer.encode(), 0, value)
    for partition in range(partitions):
        yield partition, position_entry(Position(1, {}, mark))


def _states(template: bytes, crowd: Crowd) -> Iterator[tuple[str, bytes]]:
    """Customers as the first one, with ids and instants of their own."""
    state, ids = _decode(template), uuids(2)
    (ticket,) = state.tickets
    began = [fact.at for fact in ticket.facts]
    last_contact, sequence, instant = state.last_contact, state.sequence, ticket.instant
    for number in range(crowd.size):
        customer, shift = next(ids), number * crowd.apart
        ticket.id = next(ids)
        # True in a calendar that never closes.
        ticket.instant = state.planned = None if instant is None else instant + shift
        state.last_contact, state.sequence = last_contact + shift, sequence + shift // SECOND
        state.recent = []
        for fact, at in zip(ticket.facts, began, strict=True):
            fact.id = next(ids) if state.recent else ticket.id
            fact.at, fact.ticket, fact.conversation = at + shift, ticket.id, f"email:{ticket.id}"
            fact.contact_point = f"email:customer-{number}@example.com"
            state.recent.append(fact.id)
        yield customer, _encode(state)


def _folded(tenant: str, crowd: Crowd) -> tuple[Sequence[Item], bytes, bytes]:
    """The bundle's records, the state of one customer and the partition's mark, as the fold writes them."""
    codec, ids = Codec(), uuids(1)
    fold = CaseworkFold(codec, TOPICS)
    body = msgspec.json.encode(crowd.bundle).decode()
    published = ConfigurationPublished(next(ids), tenant, "default", VERSION, crowd.written_at, body)
    fold.step(record(None, codec.encode(published)))
    reserved = [entry(*change) for change in fold.changes()]
    customer, at = next(ids), crowd.written_at
    for number in range(crowd.mails):
        event = mail(next(ids), at, tenant, "email:4711", "customer@example.com", answer=number % 2 == 1)
        fold.step(record(customer, codec.encode(event), headers=((DECIDED_BY, b"email:customer@example.com"),)))
        at += 10 * SECOND
    ((_, _, value),) = fold.changes()
    assert value is not None, "somebody with an open ticket has a state"
    return reserved, value, fold.mark()


def record(customer: str | None, value: bytes, offset: int = 0, headers: Headers = ()) -> ConsumerRecord[bytes, bytes]:
    """A record of the stage's input log, as a consumer gives it."""
    return ConsumerRecord(
        topic=TOPICS.identified, partition=0, offset=offset, timestamp=0, timestamp_type=0,
        key=customer and customer.encode(), value=value, checksum=None, serialized_key_size=-1,
        serialized_value_size=len(value), headers=tuple(headers),
    )  # fmt: skip
