"""A log as casework reads it: mails, chats and calls of many customers, their answers, and commands on their tickets.

Stories follow each other in the log's own time; a seed makes the log, so that every run folds the same records. What
is simplified: texts are of few kinds, every customer writes from one address, and nobody's stories overlap.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import msgspec

from runtime.appending import Headers
from runtime.stage import ORDINAL, SOURCE, SOURCE_OFFSET
from schemas.codec import Codec
from schemas.records import (
    Actor,
    CallFacts,
    ConfigurationPublished,
    ContactPoint,
    Facts,
    InteractionReceived,
    MailFacts,
    MessageFacts,
    Raw,
    TicketCommand,
    TimeAdvanced,
)
from streams.identity import DECIDED_BY, partition_of

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEGIN = 1_767_600_000_000_000  # Monday 2026-01-05 08:00 UTC
TICK = 15 * MINUTE
TENANT = "default"
BUNDLE = {
    "name": "default",
    "calendars": {
        "office": {
            "tz": "Europe/Berlin",
            "hours": {day: [["08:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        },
        "always": {
            "tz": "Etc/UTC",
            "hours": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
        },
    },
    "policies": [
        {
            "name": "chat",
            "match": {"channel": "chat"},
            "calendar": "always",
            "targets": {"first_response": "5m", "resolution": "4h"},
        },
        {
            "name": "standard",
            "calendar": "office",
            "targets": {"first_response": "4h", "resolution": {"normal": "24h", "high": "12h", "urgent": "8h"}},
        },
    ],
    "routes": [
        {"match": {"channel": "chat"}, "assign": {"team": "chat", "organisation": "vendor-a"}},
        {"match": {}, "assign": {"team": "first-line", "organisation": "own"}},
    ],
    "tickets": {"join_window": "4h", "close_after": "2d"},
}

_WORDS = "My parcel was due on Monday and nothing came. Could you look where it is and tell me when it will be here? "
_ANSWER = "Thank you for writing. I have asked the carrier and will tell you as soon as there is an answer. "


class Entry(NamedTuple):
    """One record of the log. ``counts``: whether it is an event, not a tick or a configuration."""

    partition: int
    key: bytes | None
    value: bytes
    headers: Headers
    counts: bool


class _Step(NamedTuple):
    """One event of a story: after ``wait`` (least and most, µs) comes ``type`` by ``actor``."""

    wait: tuple[int, int]
    type: str
    actor: str
    command: TicketCommand | None = None


_RESOLVE = _Step((MINUTE, HOUR), "ticket.status_set", "agent", TicketCommand(status="resolved"))
_MAIL = (
    _Step((0, 0), "email.received", "customer"),
    _Step((20 * MINUTE, 5 * HOUR), "email.sent", "agent"),
    _Step((HOUR, 20 * HOUR), "email.received", "customer"),
    _Step((20 * MINUTE, 5 * HOUR), "email.sent", "agent"),
    _RESOLVE,
)
_MAIL_PASSED_ON = (
    _Step((0, 0), "email.received", "customer"),
    _Step((MINUTE, HOUR), "ticket.assigned", "agent", TicketCommand(team="claims", organisation="vendor-a")),
    _Step((HOUR, 6 * HOUR), "email.sent", "agent"),
    _RESOLVE,
)
_CHAT = (
    _Step((0, 0), "message.received", "customer"),
    _Step((20 * SECOND, 4 * MINUTE), "message.sent", "agent"),
    *(
        _Step((10 * SECOND, 2 * MINUTE), *who)
        for _ in range(3)
        for who in (("message.received", "customer"), ("message.sent", "agent"))
    ),
    _RESOLVE,
)
_CALL = (
    _Step((0, 0), "call.queued", "customer"),
    _Step((5 * SECOND, 6 * MINUTE), "call.abandoned", "customer"),
    _Step((20 * MINUTE, 3 * HOUR), "call.answered", "agent"),
    _Step((MINUTE, 10 * MINUTE), "call.ended", "agent"),
    _Step((SECOND, MINUTE), "note.added", "agent", TicketCommand(comment="told the customer when it will arrive")),
    _RESOLVE,
)
#: How many of a hundred stories are of each kind.
_STORIES = ((_MAIL, 30), (_MAIL_PASSED_ON, 15), (_CHAT, 35), (_CALL, 20))
_CHANNELS = {"email": "email", "message": "chat", "call": "voice", "ticket": "internal", "note": "internal"}


@dataclass(slots=True)
class _Customer:
    """Where a customer stands in their story. ``ticket``: the one that the story's commands name."""

    id: str
    point: ContactPoint
    story: tuple[_Step, ...] = ()
    step: int = 0
    ticket: str = ""
    conversation: str = ""
    events: list[str] = field(default_factory=list)


class Log:
    """The log's records, in order. ``size``: events in it; ``customers``: who takes part; ``partitions``: the topic's.

    ``now`` is the log's time so far.
    """

    def __init__(self, size: int, customers: int, partitions: int, seed: int = 1) -> None:
        self._size = size
        self._partitions = partitions
        self._random = Random(seed)
        self._codec = Codec()
        self._kinds = [kind for kind, share in _STORIES for _ in range(share)]
        self._customers = [self._customer(number) for number in range(customers)]
        self._sent = [0] * partitions
        self.now = BEGIN

    def __iter__(self) -> Iterator[Entry]:
        for partition in range(self._partitions):
            yield self._entry(partition, None, self._configuration(), "", counts=False)
        spread = max(DAY, 5 * DAY * len(self._customers) // 20_000)
        upcoming = [(BEGIN + self._random.randrange(spread), number) for number in range(len(self._customers))]
        heapq.heapify(upcoming)
        tick = BEGIN + TICK
        for _ in range(self._size):
            at, number = heapq.heappop(upcoming)
            self.now = at
            while tick <= at:
                for partition in range(self._partitions):
                    yield Entry(partition, None, self._codec.encode(TimeAdvanced(tick)), (), False)
                tick += TICK
            customer = self._customers[number]
            event = self._event(customer, at)
            partition = partition_of(customer.id, self._partitions)
            yield self._entry(partition, customer.id.encode(), self._codec.encode(event), self._decided_by(customer))
            heapq.heappush(upcoming, (at + self._wait(customer), number))

    def _customer(self, number: int) -> _Customer:
        return _Customer(self._id(), ContactPoint("email", f"customer-{number}@example.com", verified=True))

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _decided_by(self, customer: _Customer) -> str:
        return f"{customer.point.kind}:{customer.point.value}"

    def _entry(self, partition: int, key: bytes | None, value: bytes, decided_by: str, counts: bool = True) -> Entry:
        self._sent[partition] += 1
        headers = [
            (SOURCE, f"interaction-received/{partition}".encode()),
            (SOURCE_OFFSET, str(self._sent[partition]).encode()),
            (ORDINAL, b"0"),
        ]
        if decided_by:
            headers.append((DECIDED_BY, decided_by.encode()))
        return Entry(partition, key, value, headers, counts)

    def _configuration(self) -> bytes:
        body = msgspec.json.encode(BUNDLE).decode()
        return self._codec.encode(ConfigurationPublished(self._id(), TENANT, "default", 1, BEGIN, body))

    def _wait(self, customer: _Customer) -> int:
        """Until the customer's next event; a new story begins after its ticket was closed."""
        if customer.step < len(customer.story):
            least, most = customer.story[customer.step].wait
            return self._random.randint(least, most)
        return self._random.randint(3 * DAY, 10 * DAY)

    def _event(self, customer: _Customer, at: int) -> InteractionReceived:
        id_ = self._id()
        if customer.step >= len(customer.story):
            customer.story, customer.step = self._random.choice(self._kinds), 0
            customer.ticket = ""
            customer.conversation = f"{customer.story[0].type.partition('.')[0]}:{id_[:18]}"
        step = customer.story[customer.step]
        customer.step += 1
        if not customer.ticket and step.type in ("email.received", "message.received", "call.abandoned"):
            customer.ticket = id_
        kind = step.type.partition(".")[0]
        command = step.command
        text = (_WORDS if step.actor == "customer" else _ANSWER) * (3 if kind == "email" else 1)
        inbound = step.actor == "customer"
        agent = Actor("agent", f"agent-{self._random.randrange(300)}", "first-line", "own")
        return InteractionReceived(
            id=id_,
            type=step.type,
            tenant=TENANT,
            source=f"{kind}/main",
            channel=_CHANNELS[kind],
            direction="internal" if command else "inbound" if inbound else "outbound",
            occurred_at=at - self._random.randrange(2 * SECOND),
            received_at=at,
            conversation=f"hub:{id_[:18]}" if command else customer.conversation,
            contact_points=[ContactPoint("hub", f"ticket:{customer.ticket}")] if command else [customer.point],
            actor=Actor("customer") if inbound else agent,
            subject="Where is order 4711?" if kind == "email" else None,
            text=None if command or kind == "call" else text,
            language="en" if kind == "email" else None,
            facts=_facts(kind, id_, command, customer.ticket),
            attributes={"order": "4711"} if kind == "message" else {},
            raw=None if command else Raw("application/json", inline=text.encode() * 2),
        )


def _facts(kind: str, id_: str, command: TicketCommand | None, ticket: str) -> Facts:
    if command is not None:
        return msgspec.structs.replace(command, ticket=ticket)
    if kind == "email":
        return MailFacts(message_id=f"<{id_}@example.com>", mailbox="support@example.com")
    return CallFacts(leg=id_, queue="support") if kind == "call" else MessageFacts(message_id=id_, content="text")
