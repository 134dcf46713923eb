"""The evidence of a run in which nothing went wrong, made in memory: what the check is itself checked with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from aiokafka.structs import ConsumerRecord

from domain.errors import HubError
from domain.identity import Directory, Owner, Point, decide
from hub.verify.evidence import TOPICS as LOGS
from hub.verify.evidence import Decided, Evidence, Tables
from hub.verify.expected import CODEC, TOPICS, accepted, expect
from projections.identity.store import Recorded, Undecided
from runtime.appending import Item
from runtime.changelog import Position, entry, position_entry
from runtime.clock import SECOND
from schemas.records import SlaVerdictIssued, TicketChanged, TimeAdvanced, TimelineEntryAdded
from streams.casework import CaseworkFold
from streams.identity import IdentityStage
from tests.chaos.producer import Story
from tests.streams.logs import Record

PARTITIONS, RETENTION_DAYS = 2, 1
BEGIN = 1_767_600_000 * SECOND


@dataclass(slots=True)
class Memory(Directory):
    """Decisions without a database."""

    owners: dict[Point, Owner] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, str] = field(default_factory=dict)
    customers: Mapping[str, str] = field(default_factory=dict)
    kept: dict[tuple[str, int], Decided] = field(default_factory=dict)

    async def decide(
        self, source: str, batch: Sequence[Undecided], now: int, admit: Callable[[Iterable[Recorded]], None]
    ) -> dict[int, Recorded]:
        made = {each.offset: self._one(each) for each in batch}
        for each in batch:
            one = made[each.offset]
            decided = Decided(each.event.id, one.customer, one.contact_point, one.version, one.error)
            self.kept[source, each.offset] = decided
        return made

    def _one(self, each: Undecided) -> Recorded:
        if each.configuration is not None:
            return Recorded(None, "", "configuration", version=each.offset + 1)
        try:
            decision = decide(each.event, self)
        except HubError as error:
            return Recorded(None, "", "not_resolvable", error.reason.value, str(error))
        self.repeats[each.event.id] = self.tickets[each.event.id] = decision.customer
        self.owners.update({link.point: Owner(link.customer) for link in decision.links})
        return Recorded(decision.customer, decision.point, decision.reason)


@dataclass(slots=True)
class Hand:
    """A clock that goes when it is told to."""

    instant: int = BEGIN

    def now(self) -> int:
        return self.instant


def perfect(seed: int = 1, records: int = 400) -> Evidence:
    """A run of ``records`` received records, in which every record of every topic is written once."""
    logs: dict[str, dict[int, list[Record]]] = {topic: {n: [] for n in range(PARTITIONS)} for topic in LOGS}
    clock, memory = Hand(), Memory()
    story = Story(seed, clock, customers=20)

    def append(topic: str, partition: int, item: Item) -> Record:
        log = logs[topic][partition]
        log.append(Record(len(log), item.key, item.value, item.headers, partition, topic))
        return log[-1]

    stage = IdentityStage(CODEC, memory, clock, LOGS[0], TOPICS.identified, TOPICS.dlq, PARTITIONS)
    for number in range(records):
        key, value = story.configuration("3s", "9s") if number % 150 == 0 else story.next()
        partition = len(key) % PARTITIONS
        received = append(LOGS[0], partition, Item(key, value))
        relayed = asyncio.run(stage.relay(partition, [received]))
        clock.instant += SECOND
        for (topic, to), items in relayed.items():
            for item in items:
                append(topic, to, item)
        if number % 5 == 0:
            append(TOPICS.identified, number % PARTITIONS, Item(None, CODEC.encode(TimeAdvanced(clock.instant))))
    for partition, log in logs[TOPICS.identified].items():
        fold = CaseworkFold(CODEC, TOPICS, RETENTION_DAYS)
        _, sources = accepted(cast("list[ConsumerRecord]", log))
        for record in log:
            for topic, item in fold.step(cast("ConsumerRecord", record)):
                append(topic, partition, item)
            for change in fold.changes():
                append(TOPICS.changelog, partition, entry(*change))
        append(TOPICS.changelog, partition, position_entry(Position(len(log), sources, fold.mark())))
    evidence = Evidence("", PARTITIONS, cast("dict[str, dict[int, list[ConsumerRecord]]]", logs), memory.kept, Tables())
    _fill(evidence)
    return evidence


def _fill(evidence: Evidence) -> None:
    """Write the tables, as projector and alerts do."""
    tables = evidence.tables
    newest: dict[str, TicketChanged] = {}
    for topic in (TOPICS.entries, TOPICS.tickets, TOPICS.verdicts):
        for log in evidence.logs[topic].values():
            for record in log:
                match CODEC.decode(record.value or b""):
                    case TimelineEntryAdded() as entry_:
                        tables.entries.append(entry_)
                    case TicketChanged() as ticket:
                        newest[ticket.id] = ticket
                    case SlaVerdictIssued() as verdict:
                        tables.verdicts.append(verdict)
    tables.tickets = list(newest.values())
    tables.alerts = expect(evidence, RETENTION_DAYS).alerts
