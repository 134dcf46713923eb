"""Writes timeline entries, tickets and verdicts from their topics to PostgreSQL, each exactly once, and what calls and
chats were, measured from their entries.

How it reads, and why nothing is written twice or passed over, is told in ``reading.py``.

A record that can't be decoded stops the projector. Only the hub's own stages write these topics, so such a record is a
bug; to go on without it would leave a hole in somebody's history that nobody sees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.reading import BATCH, Fenced, Membership, Reading, ReadingStopped, Record
from projections.contacts import store as contacts
from projections.positions import store as positions
from projections.positions.store import Place, Step
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime import metrics
from runtime.delay import Delay
from schemas.codec import Codec, NotDecodable
from schemas.records import SlaVerdictIssued, TicketChanged, TimelineEntryAdded

if TYPE_CHECKING:
    from projections.postgres import Connection


@dataclass(frozen=True, slots=True)
class Topics:
    """The three topics by the names they have on this Kafka."""

    entries: str = "timeline-entry-added"
    tickets: str = "ticket-changed"
    verdicts: str = "sla-verdict-issued"

    def all(self) -> tuple[str, str, str]:
        """The names, for subscribing."""
        return (self.entries, self.tickets, self.verdicts)


@dataclass(slots=True)
class Batch:
    """What one transaction writes: the records of several partitions, and where each position goes from and to."""

    entries: list[TimelineEntryAdded] = field(default_factory=list)
    tickets: list[TicketChanged] = field(default_factory=list)
    verdicts: list[SlaVerdictIssued] = field(default_factory=list)
    steps: Mapping[Place, Step] = field(default_factory=dict)

    def customers(self) -> set[str]:
        """Everybody of whom there is something new."""
        changed = {each.customer for each in self.entries}
        changed.update(each.customer for each in self.tickets)
        changed.update(each.customer for each in self.verdicts)
        return changed


async def write(connection: Connection, batch: Batch) -> None:
    """Write a batch and its positions, all or nothing. Raises ``Fenced`` when a position is not the expected one."""
    async with connection.transaction():
        lost = await positions.move(connection, batch.steps)
        if lost:
            raise Fenced(f"another projector moved {sorted(lost)}; this one must not write them")
        await timeline.add(connection, batch.entries)
        await tickets.put(connection, batch.tickets)
        await verdicts.add(connection, batch.verdicts)
        await contacts.add(connection, batch.entries)
        await timeline.notify(connection, batch.customers())


class Projector:
    """Reads the topics as a member of a consumer group and writes what it reads. Run one or several."""

    name = "projector"
    remedy = "rebuild the tables"

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: Codec,
        topics: Topics,
        *,
        group: str = "projector",
        session_timeout: float = 10.0,
        batch: int = BATCH,
    ) -> None:
        self._codec = codec
        self._named = topics
        self.topics = topics.all()
        self.compacted = self.with_holes = (topics.tickets,)
        self._delay = Delay(metrics.projector_delay_seconds)
        self._reading: Reading[Batch] = Reading(Membership(bootstrap, group, session_timeout, batch), dsn, self)

    @property
    def ready(self) -> bool:
        """Whether it is joined to Kafka, has found its positions, and PostgreSQL answers."""
        return self._reading.ready

    async def run(self) -> None:
        """Project until cancelled. Raises ``ReadingStopped`` when only a restart can help."""
        await self._reading.run()

    async def positions(self, connection: Connection, places: Collection[Place]) -> Mapping[Place, int]:
        """The next offset of each partition."""
        found = await positions.take(connection, places)
        for place in places:
            self._delay.known(place.topic, str(place.partition))
        return found

    async def decode(self, new: Mapping[Place, Sequence[Record]]) -> Batch:
        """The records by kind. Raises ``ReadingStopped`` for one that does not belong here."""
        batch = Batch()
        for place, found in new.items():
            self._delay.waits(place.topic, str(place.partition), since=found[0].timestamp * 1000)
            for each in found:
                self._sort_in(batch, place, each)
        return batch

    def _sort_in(self, batch: Batch, place: Place, found: Record) -> None:
        where = f"{place.topic}/{place.partition} at offset {found.offset}"
        try:
            record = self._codec.decode(found.value or b"")
        except NotDecodable as error:
            raise ReadingStopped(f"{where} can't be decoded ({error}); no stage of this version writes that") from error
        if place.topic == self._named.entries and isinstance(record, TimelineEntryAdded):
            batch.entries.append(record)
        elif place.topic == self._named.tickets and isinstance(record, TicketChanged):
            batch.tickets.append(record)
        elif place.topic == self._named.verdicts and isinstance(record, SlaVerdictIssued):
            batch.verdicts.append(record)
        else:
            raise ReadingStopped(f"{where} is a {type(record).__name__}, which does not belong on this topic")

    async def write(self, connection: Connection, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Write a batch and its positions, all or nothing."""
        batch.steps = steps
        with metrics.projector_seconds.time():
            await write(connection, batch)

    def written(self, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Count what was written; it waits no longer."""
        counts = (len(batch.entries), len(batch.tickets), len(batch.verdicts))
        for topic, count in zip(self.topics, counts, strict=True):
            metrics.entries_projected.labels(topic).inc(count)
        for place in steps:
            self._delay.nothing(place.topic, str(place.partition))
