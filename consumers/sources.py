"""Counts what each source sends, keeps which of its own numbers are missing, and what it says it sent.

It reads ``interaction-received``, before anything is decided about an event: one that ends as a dead letter was not
lost on its way here. A repeated delivery counts once, if it comes within ``REMEMBERED`` records of its partition.
Everything follows from the records and their places alone, so counting anew from the same log gives the same tables.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from consumers.reading import Fenced, Membership, Reading, Record
from consumers.recent import Recent
from domain.sequences import LARGEST, Numbering, numbering_of
from domain.source_counts import CountInvalid, quarter_of, stated
from projections.positions.store import Place, Step
from projections.sources import store
from projections.sources.store import Batch, Counted, Number, Remembered, SourceKey, Span, StreamKey, Sum
from runtime import metrics
from runtime.registry import RegistryRefused, RegistryUnavailable
from schemas.codec import Codec, NotDecodable
from schemas.records import CallFacts, InteractionReceived
from schemas.vocabulary import COUNTED, TYPES, UNMAPPED

if TYPE_CHECKING:
    from projections.postgres import Connection

log = structlog.get_logger(__name__)
Learn = Callable[[Iterable[bytes | None]], Awaitable[None]]

REMEMBERED = 50_000
MOST_LABELS = 200
HOUR = 3600 * 1_000_000
KEPT = 35 * 24 * HOUR  # longer than the topic keeps its records, so that counting anew never meets what was removed
_LONGEST_NAME = 300
_NOTHING = bytes(store.ID_BYTES)
_OTHER = SourceKey("other", "other")


class Labels:
    """The sources that have metrics of their own: the first ``MOST_LABELS`` heard of. All others share one."""

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._known: set[SourceKey] = set()

    def of(self, key: SourceKey) -> SourceKey:
        """The labels (tenant, source) of a source."""
        if key not in self._known:
            if len(self._known) >= self._most:
                return _OTHER
            self._known.add(key)
        return key


class Sources:
    """Counting as a member of a consumer group; ``topic`` is the name on this Kafka. Run one or several.

    ``numberings``: what the sequences of some sources count. ``learn``: asks a registry for schemas of third parties.
    """

    name = "sources"
    remedy = "count anew (hub count --anew)"
    compacted = ()

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: Codec,
        topic: str,
        numberings: Sequence[Numbering] = (),
        *,
        learn: Learn | None = None,
        group: str = "sources",
        session_timeout: float = 10.0,
        labels: Labels | None = None,
    ) -> None:
        self._codec = codec
        self._numberings = numberings
        self._learn = learn
        self._labels = labels or Labels()
        self._recent: dict[Place, Recent] = {}
        self._fresh: dict[Place, dict[bytes, int]] = {}
        self._pruned_at = 0
        self.topics = self.with_holes = (topic,)  # third parties write it, perhaps in transactions
        # Small pieces, so that the partitions of a source whose numbers span them are read side by side.
        member = Membership(bootstrap, group, session_timeout, longest_wait=0.25, fetch_bytes=256 * 1024, pause=0.25)
        self._reading: Reading[Batch] = Reading(member, dsn, self)

    @property
    def ready(self) -> bool:
        """Whether it is joined to Kafka, has found its positions, and PostgreSQL answers."""
        return self._reading.ready

    @property
    def behind(self) -> int:
        """How many records it had not read when it last looked."""
        return self._reading.behind

    async def run(self) -> None:
        """Count until cancelled. Raises ``ReadingStopped`` when only a restart can help."""
        await self._reading.run()

    async def positions(self, connection: Connection, places: Collection[Place]) -> Mapping[Place, int]:
        """The next offset of each partition; remembers the events before it."""
        held = await store.take(connection, places)
        for place, some in (await store.recent(connection, places)).items():
            known = self._recent[place] = Recent(REMEMBERED)
            for first, ids in some:
                for at in range(0, len(ids), store.ID_BYTES):
                    if (key := ids[at : at + store.ID_BYTES]) != _NOTHING:
                        known.add(key, first + at // store.ID_BYTES)
        return held

    async def decode(self, new: Mapping[Place, Sequence[Record]]) -> Batch:
        """What the records add. One that is no event adds nothing: the identity stage makes a dead letter of it."""
        await self._ask_registry(record.value for found in new.values() for record in found)
        batch = Batch()
        self._fresh = {}
        for place, found in new.items():
            ids = self._fresh[place] = {}
            known = self._known(place)
            packed = bytearray()
            begin = found[0].offset
            for record in found:
                packed.extend(
                    _NOTHING * (record.offset - begin - len(packed) // store.ID_BYTES)
                )  # a topic has no holes
                event = self._event(record)
                key = uuid_bytes(event.id) if event is not None else _NOTHING
                before = ids[key] if key in ids else known.last(key)
                if event is None or (before is not None and record.offset - before <= REMEMBERED):
                    packed.extend(_NOTHING)
                    continue
                packed.extend(key)
                ids[key] = record.offset
                self._count(batch, event, record.timestamp * 1000)
            following = found[-1].offset + 1
            batch.remembered[place] = Remembered(begin, following, bytes(packed), following - REMEMBERED)
        latest = max((each.last_at for each in batch.sums.values()), default=0)
        if latest - latest % HOUR > self._pruned_at:
            batch.prune_before = latest - KEPT
        return batch

    async def write(self, connection: Connection, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Add the batch and move the positions, all or nothing."""
        async with connection.transaction():
            lost = await store.add(connection, batch, steps)
            if lost:
                raise Fenced(f"another process moved {sorted(lost)}; this one must not count them")

    def written(self, batch: Batch, steps: Mapping[Place, Step]) -> None:
        """Remember the events, and show how many there were."""
        for place, fresh in self._fresh.items():
            known = self._known(place)
            for key, offset in fresh.items():
                known.add(key, offset)
            known.forget(steps[place].next - REMEMBERED)
        self._fresh = {}
        if batch.prune_before is not None:
            self._pruned_at = batch.prune_before + KEPT
        for source, counted in batch.sums.items():
            metrics.source_events.labels(*self._labels.of(source)).inc(counted.events)

    def _known(self, place: Place) -> Recent:
        known = self._recent.get(place)
        if known is None:
            known = self._recent[place] = Recent(REMEMBERED)
        return known

    def _event(self, record: Record) -> InteractionReceived | None:
        try:
            event = self._codec.decode(record.value or b"")
        except NotDecodable:
            return None
        return event if isinstance(event, InteractionReceived) else None

    async def _ask_registry(self, values: Iterable[bytes | None]) -> None:
        some = list(values)
        while self._learn is not None:
            try:
                await self._learn(some)
                return
            except (RegistryUnavailable, RegistryRefused) as error:
                log.warning("the registry does not answer; trying again", error=str(error))
                await asyncio.sleep(1)

    def _count(self, batch: Batch, event: InteractionReceived, at: int) -> None:
        source = SourceKey(short(event.tenant), short(event.source))
        queue = (event.facts.queue or "") if isinstance(event.facts, CallFacts) else ""
        counted = Counted(*source, event.type if event.type in TYPES else UNMAPPED, short(queue))
        occurred = event.occurred_at if abs(event.occurred_at - at) < KEPT else None
        held = batch.sums.setdefault(source, Sum(0, at, at, 0))
        held.events += 1
        held.first_at, held.last_at = min(held.first_at, at), max(held.last_at, at)
        held.last_occurred_at = max(held.last_occurred_at, occurred or 0)
        if occurred is not None:
            place = counted, quarter_of(occurred)
            batch.received[place] = batch.received.get(place, 0) + 1
        numbering = numbering_of(event.source, self._numberings)
        if event.sequence is not None and 0 <= event.sequence <= LARGEST and numbering.per != "nothing":
            conversation = short(event.conversation) if numbering.per == "conversation" else ""
            number = Number(event.sequence, at, numbering.first)
            batch.streams.setdefault(StreamKey(*source, conversation), []).append(number)
        if event.type == COUNTED:
            try:
                said = stated(event)
            except CountInvalid as error:
                log.warning("a source's own count can't be used", source=source.source, detail=str(error))
                return
            whose = Counted(source.tenant, short(said.source), said.type, short(said.queue))
            batch.stated.setdefault(whose, []).append(Span(said.since, said.until, said.count))


def short(name: str) -> str:
    """A name as a key in PostgreSQL: without null characters, and of a long one its beginning and its digest."""
    clean = name.replace("\x00", "\ufffd")
    if len(clean.encode()) <= _LONGEST_NAME:
        return clean
    return f"{clean[:60]}…{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def uuid_bytes(text: str) -> bytes:
    """An event's id in 16 bytes; of what is no UUID, its digest."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return hashlib.sha256(text.encode()).digest()[: store.ID_BYTES]
