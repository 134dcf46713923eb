"""A stateful stage: per partition, batches are folded into a state that is mirrored, with the input position, in a
changelog. Nothing is lost or doubled whenever the process dies, because the position is durable with the state or not
at all, and outputs that are repeated have equal ids.

The order is fixed: fold, outputs durable, changelog durable, offset. Any failure in it ends the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from runtime import metrics
from runtime.appending import ForeignWrite, Item, append
from runtime.changelog import Position, Restored, entry, position_entry, restore
from runtime.clock import SECOND, Clock
from runtime.letter_limit import LetterLimit, reasons_of
from runtime.settings import Settings
from runtime.worker import Worker

HOLD_TICKS = 60 * SECOND
FOLDING = 0.1
"""Seconds after which a batch is cut off: what is folded becomes durable, and the loop turns, before it goes on."""
SOURCE, SOURCE_OFFSET, ORDINAL = "source", "source_offset", "ordinal"
log = structlog.get_logger()


class Fold(Protocol):
    """The pure rules of a stage for one partition. ``applied`` of a key is the offset of the last record folded in."""

    def restore(self, restored: Restored) -> None:
        """Take the state over from the changelog. Keys that are ahead of the position say nothing and change nothing
        until the log has come to where they are."""
        ...

    def mark(self) -> bytes:
        """What is held for the partition as a whole, not under a key."""
        ...

    def step(self, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
        """Fold one record; the outputs as (topic, item), in order."""
        ...

    def changes(self) -> Sequence[tuple[bytes, int, bytes | None]]:
        """The keys changed since the last call: (key, applied, bytes or None for a removed one)."""
        ...

    def due(self) -> int | None:
        """The earliest instant (µs) at which time alone changes something."""
        ...

    def size(self) -> int:
        """How many keys are held."""
        ...

    def waiting(self) -> int:
        """How many instants are waited for."""
        ...


@dataclass(slots=True)
class Partition:
    """What a worker holds of a partition it owns, in one generation."""

    generation: int
    fold: Fold
    position: Position
    changelog_end: int
    owned_since: int
    head: int
    sources: dict[str, tuple[int, int]] = field(default_factory=dict)
    ticked: int = 0


class Stage(Worker):
    """Runs a fold over a topic. ``tick`` makes the record that tells a partition of the time."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        clock: Clock,
        source: str,
        changelog: str,
        new_fold: Callable[[], Fold],
        tick: Callable[[int], bytes] | None = None,
        letters: LetterLimit | None = None,
    ) -> None:
        self._clock = clock
        self._changelog = changelog
        self._new_fold = new_fold
        self._tick = tick
        self._partitions: dict[int, Partition] = {}
        self._working = asyncio.Lock()  # a partition is not restored while a batch of it may still be under way
        super().__init__(name, settings, source, letters)

    async def process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> None:
        """Fold one batch and make everything that follows from it durable."""
        async with self._working:
            while await self._process(tp, generation, records):
                pass

    async def _process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> bool:
        """Fold as many of the records as time allows, from the position on; whether some are left."""
        began = time.monotonic()
        held = await self._held(tp.partition, generation)
        if held is None:
            return False
        fresh = await self.from_position(tp, held.position.next, records)
        if not fresh:
            return False
        outputs: dict[str, list[Item]] = {}
        until = time.monotonic() + FOLDING
        for count, record in enumerate(fresh, 1):
            if self._is_new(held, record):
                for topic, item in held.fold.step(record):
                    outputs.setdefault(topic, []).append(item)
            if time.monotonic() > until:
                fresh = fresh[:count]
                break
        folded = time.monotonic()
        if self.app.consumer_generation_id != generation:
            self._partitions.pop(tp.partition, None)
            return False
        dead = reasons_of(outputs.get(self.letters.topic, ()))
        self.letters.check(dead, len(fresh))
        producer, _ = await self.clients()
        await asyncio.gather(*(append(producer, topic, tp.partition, items) for topic, items in outputs.items()))
        held.position = Position(fresh[-1].offset + 1, dict(held.sources), held.fold.mark())
        changes = [entry(*change) for change in held.fold.changes()]
        changes.append(position_entry(held.position))
        await self._write(tp.partition, held, changes)
        self.letters.wrote(dead, len(fresh))
        self.app.batches.complete(tp, generation, held.position.next)
        self.moved(tp.partition)
        metrics.records_processed.labels(self.name).inc(len(fresh))
        metrics.batch_records.labels(self.name).observe(len(fresh))
        metrics.fold_seconds.labels(self.name).observe(folded - began)
        metrics.batch_seconds.labels(self.name).observe(time.monotonic() - began)
        return fresh[-1] is not records[-1]

    @staticmethod
    def _is_new(held: Partition, record: ConsumerRecord) -> bool:
        """Whether this source's record was not taken yet: writers repeat after a restart, and zombies write late."""
        source, offset, ordinal = "", -1, 0
        for name, value in record.headers:
            if name == SOURCE:
                source = value.decode()
            elif name == SOURCE_OFFSET:
                offset = int(value)
            elif name == ORDINAL:
                ordinal = int(value)
        if not source:
            return True
        if (offset, ordinal) <= held.sources.get(source, (-1, -1)):
            return False
        held.sources[source] = (offset, ordinal)
        return True

    async def _held(self, partition: int, generation: int) -> Partition | None:
        """The partition's state in this generation, restored on its first touch; None when the generation is over."""
        held = self._partitions.get(partition)
        if held is not None and held.generation == generation:
            return held
        if self.app.consumer_generation_id != generation:
            return None
        _, probe = await self.clients()
        tp = TopicPartition(self.source, partition)
        head = (await probe.end_offsets([tp]))[tp]
        restored = await restore(self.settings.kafka, self._changelog, partition)
        fold = self._new_fold()
        await asyncio.to_thread(fold.restore, restored)  # 20 s for a million customers, in which the loop must turn
        if self.app.consumer_generation_id != generation:
            return None
        return await self._own(partition, generation, fold, restored, head)

    async def _write(self, partition: int, held: Partition, items: Sequence[Item]) -> None:
        """Append to the changelog. Raises ``ForeignWrite`` when somebody else did."""
        producer, _ = await self.clients()
        following = await append(producer, self._changelog, partition, items, held.changelog_end)
        if following is not None:
            held.changelog_end = following

    async def _own(self, partition: int, generation: int, fold: Fold, restored: Restored, head: int) -> Partition:
        position = restored.position
        held = Partition(generation, fold, position, restored.end, self._clock.now(), head, dict(position.sources))
        if restored.overwritten:
            log.warning("overwritten", stage=self.name, partition=partition, keys=len(restored.overwritten))
            await self._write(partition, held, restored.overwritten)
        self._partitions[partition] = held
        self.moved(partition)
        if position.next:  # who wrote it may not have lived to commit it, and what is below it is not folded again
            self.app.batches.complete(TP(self.source, partition), generation, position.next)
        metrics.restore_seconds.labels(self.name).observe(restored.seconds)
        log.info(
            "restored",
            stage=self.name,
            partition=partition,
            generation=generation,
            records=restored.records,
            ahead=len(restored.ahead),
            seconds=round(restored.seconds, 2),
            next=position.next,
        )
        return held

    async def look_after(self, partitions: set[int], generation: int) -> None:
        """Restore what was assigned, so that clocks run without traffic, and tell partitions of the time."""
        for partition in set(self._partitions) - partitions:
            del self._partitions[partition]
            metrics.forget(metrics.state_keys, self.name, str(partition))
            metrics.forget(metrics.clocks_open, str(partition))
            metrics.forget(metrics.clocks_judged, str(partition))
        for partition in partitions:
            held = self._partitions.get(partition)
            if held is None or held.generation != generation:
                async with self._working:
                    held = await self._held(partition, generation)
            if held is not None:
                await self._tell_time(partition, held)

    async def watch(self) -> None:
        """Stop when a changelog is longer than what this process wrote. Whoever wrote there may have put an older state
        after a newer one, which the next owner puts right; without traffic nothing else would notice it."""
        held = {TopicPartition(self._changelog, partition): each for partition, each in self._partitions.items()}
        if not held or self._working.locked():
            return
        async with self._working:
            _, probe = await self.clients()
            ends = await probe.end_offsets(list(held))
            for tp, end in ends.items():
                one = held[tp]
                if end > one.changelog_end and self._partitions.get(tp.partition) is one:
                    raise ForeignWrite(f"{tp}: ends at {end}, this process wrote up to {one.changelog_end}")

    def positions(self) -> dict[int, int]:
        """The next offset of every partition held."""
        for partition, held in self._partitions.items():
            metrics.state_keys.labels(self.name, str(partition)).set(held.fold.size())
            metrics.clocks_open.labels(str(partition)).set(held.fold.waiting())
        return {partition: held.position.next for partition, held in self._partitions.items()}

    async def _tell_time(self, partition: int, held: Partition) -> None:
        """Append a tick when a clock is due, unless one is on its way, or the log is still being caught up with."""
        now = self._clock.now()
        due = held.fold.due()
        # What is due and was not judged yet holds it back, for whatever reason: the log behind, or a fold that hangs.
        metrics.clocks_judged.labels(str(partition)).set((now if due is None or due > now else due) / SECOND)
        if self._tick is None or due is None or due > now or held.ticked >= due:
            return
        if held.position.next < held.head and now - held.owned_since < HOLD_TICKS:
            return
        producer, _ = await self.clients()
        held.ticked = now
        await append(producer, self.source, partition, [Item(None, self._tick(now))])
        metrics.tick_delay_seconds.observe((now - due) / SECOND)
