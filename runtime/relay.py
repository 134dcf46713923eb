"""A stage without state of its own: its position is the offset committed to Kafka, moved only when everything that
follows from a batch is durable. What it sends may be repeated after a crash, never left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from runtime import metrics
from runtime.appending import Item, append
from runtime.letter_limit import LetterLimit, reasons_of
from runtime.settings import Settings
from runtime.worker import Worker

COMMITTED_SECONDS = 60.0


class Relaying(Protocol):
    """Turns a batch into records for other topics: (topic, partition) to items, in order."""

    async def relay(self, partition: int, records: Sequence[ConsumerRecord]) -> dict[tuple[str, int], list[Item]]: ...


class Relay(Worker):
    """Runs a ``Relaying`` over a topic."""

    def __init__(
        self, name: str, settings: Settings, source: str, relaying: Relaying, letters: LetterLimit | None = None
    ) -> None:
        self._relaying = relaying
        self._positions: dict[int, tuple[int, int]] = {}
        self._asking = asyncio.Lock()
        super().__init__(name, settings, source, letters)

    async def process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> None:
        """Relay one batch and move the offset when all of it is durable."""
        began = time.monotonic()
        position = await self._position(tp.partition, generation)
        fresh = await self.from_position(tp, position, records)
        if not fresh:
            return
        outputs = await self._relaying.relay(tp.partition, fresh)
        folded = time.monotonic()
        if self.app.consumer_generation_id != generation:
            return
        dead = [reason for (to, _), made in outputs.items() if to == self.letters.topic for reason in reasons_of(made)]
        self.letters.check(dead, len(fresh))
        producer, _ = await self.clients()
        await asyncio.gather(*(append(producer, topic, to, items) for (topic, to), items in outputs.items()))
        self.letters.wrote(dead, len(fresh))
        following = fresh[-1].offset + 1
        self._positions[tp.partition] = (generation, following)
        self.app.batches.complete(tp, generation, following)
        self.moved(tp.partition)
        metrics.records_processed.labels(self.name).inc(len(fresh))
        metrics.batch_records.labels(self.name).observe(len(fresh))
        metrics.fold_seconds.labels(self.name).observe(folded - began)
        metrics.batch_seconds.labels(self.name).observe(time.monotonic() - began)

    async def look_after(self, partitions: set[int], generation: int) -> None:
        """Know the position of what was assigned, so that a partition that does not move is noticed."""
        for partition in set(self._positions) - partitions:
            del self._positions[partition]
        for partition in partitions:
            await self._position(partition, generation)

    def positions(self) -> dict[int, int]:
        """The next offset of every partition held."""
        return {partition: following for partition, (_, following) in self._positions.items()}

    async def _position(self, partition: int, generation: int) -> int:
        """The next offset in this generation; at its beginning it is the committed one, or the log's beginning."""
        async with self._asking:
            known = self._positions.get(partition)
            if known is not None and known[0] == generation:
                return known[1]
            tp = TopicPartition(self.source, partition)
            _, probe = await self.clients()
            beginning = (await probe.beginning_offsets([tp]))[tp]
            position: int = max(beginning, await self._committed(tp))
            self._positions[partition] = (generation, position)
            self.moved(partition)
            return position

    async def _committed(self, tp: TopicPartition) -> int:
        """The group's offset, or -1 if there is none yet; asks until Kafka knows.

        A coordinator that is still loading answers without the partition and with an error for the whole answer, which
        aiokafka 0.14.0 does not look at: taken for "none yet", it would mean to begin again at the beginning.
        """
        async with asyncio.timeout(COMMITTED_SECONDS):
            while True:
                admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka)
                try:
                    await admin.start()
                    found = await admin.list_consumer_group_offsets(self.group, partitions=[tp])
                    if tp in found:
                        return int(found[tp].offset)
                except KafkaError as error:
                    if not error.retriable:
                        raise
                finally:
                    await admin.close()
                await asyncio.sleep(0.2)
