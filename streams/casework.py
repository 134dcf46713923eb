"""The casework stage: the history, tickets and clocks of every customer in a partition, folded from one ordered log.

This file is the fold's outside: records to events, outputs and state to bytes. The rules are ``domain.casework``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka.structs import ConsumerRecord

from domain.casework import Casework
from domain.errors import HubError
from domain.outputs import Output
from domain.policies import Bundle
from domain.policy_reading import read_bundle
from runtime.appending import Item
from runtime.changelog import Restored
from schemas.codec import Codec, NotDecodable
from schemas.records import (
    ConfigurationPublished,
    InteractionReceived,
    SlaVerdictIssued,
    TicketChanged,
    TimeAdvanced,
    TimelineEntryAdded,
)
from streams.dead_letters import dead_letter
from streams.identity import DECIDED_BY

STAGE = "casework"
BUNDLE = b"\x00bundle/"


class Mark(msgspec.Struct, array_like=True):
    """What holds for a whole partition: the time its log has told, and the bundle in force per tenant."""

    reached: int = 0
    current: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class CaseworkTopics:
    """The topics' names on this Kafka."""

    identified: str
    entries: str
    tickets: str
    verdicts: str
    dlq: str
    changelog: str


def read_published(published: ConfigurationPublished) -> Bundle:
    """The bundle in a record of the log, which was checked before it was written there."""
    return read_bundle(msgspec.json.decode(published.body), published.version)


class CaseworkFold:
    """The state of one partition, and what a record does to it. Satisfies ``runtime.stage.Fold``."""

    def __init__(self, codec: Codec, topics: CaseworkTopics, retention_days: int = 35) -> None:
        self.casework = Casework(retention_days)
        self._codec = codec
        self._topics = topics
        #: Customers of a batch that became durable in part: their state is ahead of the position, and waits for it.
        self._ahead: dict[str, tuple[int, bytes | None]] = {}
        self._reserved: dict[bytes, tuple[int, bytes]] = {}
        self._offset = -1

    def restore(self, restored: Restored) -> None:
        """Take the state over from the changelog."""
        held = msgspec.msgpack.decode(restored.position.mark, type=Mark) if restored.position.mark else Mark()
        self.casework.reached, self.casework.current = held.reached, held.current
        for key, (_, value) in restored.values.items():
            if key.startswith(BUNDLE):
                published = self._codec.decode(value)
                assert isinstance(published, ConfigurationPublished)
                self.casework.bundles[published.version] = read_published(published)
        customers = ((key, value) for key, (_, value) in restored.values.items() if not key.startswith(BUNDLE))
        self.casework.restore({key.decode(): value for key, value in customers})
        self._ahead = {key.decode(): found for key, found in restored.ahead.items() if not key.startswith(BUNDLE)}

    def _take_in(self, offset: int) -> None:
        """The customers that were ahead are now where the log is: everything up to ``offset`` is folded."""
        for customer in [name for name, (applied, _) in self._ahead.items() if applied <= offset]:
            _, value = self._ahead.pop(customer)
            if value is not None:
                self.casework.put(customer, value)

    def mark(self) -> bytes:
        """The time reached and the bundles in force."""
        return msgspec.msgpack.encode(Mark(self.casework.reached, self.casework.current))

    def step(self, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
        """Fold one record; the outputs as (topic, item). What can't be read or carried out becomes a dead letter."""
        if self._ahead:
            self._take_in(record.offset - 1)
        self._offset = record.offset
        try:
            value = self._codec.decode(record.value or b"")
            if isinstance(value, InteractionReceived):
                return self._received(record, value)
            if isinstance(value, TimeAdvanced):
                return [self._item(output) for output in self.casework.advance(value.now)]
            if isinstance(value, ConfigurationPublished):
                self.casework.configure(value.tenant, read_published(value))
                self._reserved[BUNDLE + str(value.version).encode()] = (record.offset, record.value)
                return []
            raise NotDecodable("not-valid", f"a {type(value).__name__} does not belong on this topic")
        except NotDecodable as error:
            reason, detail = error.reason, str(error)
        except HubError as error:
            reason, detail = error.reason.value, str(error)
        return [(self._topics.dlq, dead_letter(STAGE, record, reason, detail, self._topics.identified))]

    def _received(self, record: ConsumerRecord, event: InteractionReceived) -> list[tuple[str, Item]]:
        customer = (record.key or b"").decode()
        if customer in self._ahead:
            return []
        point = next((value.decode() for name, value in record.headers if name == DECIDED_BY), "")
        return [self._item(output) for output in self.casework.received(customer, point, event)]

    def _item(self, output: Output) -> tuple[str, Item]:
        value = self._codec.encode(output)
        match output:
            case TimelineEntryAdded():
                return self._topics.entries, Item(output.customer.encode(), value)
            case TicketChanged():
                return self._topics.tickets, Item(output.id.encode(), value)
            case SlaVerdictIssued():
                return self._topics.verdicts, Item(output.ticket.encode(), value)

    def changes(self) -> Sequence[tuple[bytes, int, bytes | None]]:
        """The keys changed since the last call, as of the last record folded."""
        found: list[tuple[bytes, int, bytes | None]] = [
            (key, applied, value) for key, (applied, value) in self._reserved.items()
        ]
        self._reserved = {}
        found += [(customer.encode(), self._offset, state) for customer, state in self.casework.changed()]
        return found

    def due(self) -> int | None:
        """The earliest instant (µs) at which time alone changes something."""
        if self._ahead:
            self._take_in(self._offset)
        return self.casework.due()

    def size(self) -> int:
        """How many customers are held."""
        return len(self.casework.customers)

    def waiting(self) -> int:
        """How many customers wait for an instant."""
        return self.casework.waiting()
