"""Records as they stand on a topic, and a short log of a few customers in which time passes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from runtime.appending import Item
from schemas.codec import Codec
from schemas.records import ConfigurationPublished, ContactPoint, TimeAdvanced
from streams.casework import CaseworkTopics
from streams.identity import DECIDED_BY
from tests.domain.stories import AROUND_THE_CLOCK, DAY, MINUTE, SPACE, START, command, event

CODEC = Codec()
TOPICS = CaseworkTopics("log", "entries", "tickets", "verdicts", "dlq", "changelog")
CUSTOMERS = tuple(str(uuid.uuid5(SPACE, f"customer {number}")) for number in range(4))


@dataclass(frozen=True, slots=True)
class Record:
    """What a stage sees of a record."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = 0
    topic: str = "log"
    timestamp: int = 0


@dataclass(slots=True)
class Changelog:
    """A compacted topic's partition: what is kept, and the offset that comes next."""

    kept: list[tuple[int, Item]] = field(default_factory=list)
    end: int = 0

    def append(self, items: Sequence[Item]) -> int:
        """Add records; the offset of the first one."""
        base = self.end
        for item in items:
            self.kept.append((self.end, item))
            self.end += 1
        return base

    def compact(self) -> None:
        """What Kafka does: of each key only the last record stays."""
        last = {item.key: (offset, item) for offset, item in self.kept}
        self.kept = sorted(last.values(), key=lambda pair: pair[0])


def configured(version: int, close_after: str = "2h") -> ConfigurationPublished:
    """A bundle on the log."""
    body = AROUND_THE_CLOCK | {"tickets": {"join_window": "1d", "close_after": close_after}}
    text = msgspec.json.encode(body).decode()
    return ConfigurationPublished(str(uuid.uuid5(SPACE, f"bundle {version}")), "t", "test", version, START, text)


def log_of(moments: Sequence[tuple[int, int, int]]) -> list[Record]:
    """A log of (customer, what happens, minutes that pass before it); every few hours time is told, days at times."""
    values: list[tuple[str | None, msgspec.Struct]] = [(None, configured(1))]
    now, opened = 0.0, dict[str, str]()
    for index, (who, what, minutes) in enumerate(moments):
        now += minutes
        customer = CUSTOMERS[who % len(CUSTOMERS)]
        name = f"{index} {who}"
        points = [ContactPoint("email", f"customer-{who}@example.com", verified=True)]
        ticket = opened.get(customer, str(uuid.UUID(int=who + 1)))
        if what == 0 or what > 7:
            values.append((None, TimeAdvanced(START + round(now * MINUTE))))
        elif what in (1, 2):
            made = event(name, "email.received", now, conversation=f"email:{index // 5}", points=points)
            opened.setdefault(customer, made.id)
            values.append((customer, made))
        elif what == 3:
            values.append((customer, event(name, "email.sent", now - 5, received=now, points=points)))
        elif what == 4:
            status = ("resolved", "pending", "closed", "odd")[index % 4]
            values.append((customer, command(name, "ticket.status_set", now, ticket, status=status)))
        elif what == 5:
            values.append((customer, command(name, "ticket.prioritised", now, ticket, priority="urgent")))
        elif what == 6:
            values.append((None, configured(2 + index, "1h")))
        else:
            now += 2 * DAY / MINUTE
            values.append((None, TimeAdvanced(START + round(now * MINUTE))))
    return [
        Record(
            offset,
            customer.encode() if customer else None,
            CODEC.encode(value),
            ((DECIDED_BY, b"email:customer@example.com"),) if customer else (),
        )
        for offset, (customer, value) in enumerate(values)
    ]
