"""Reads verdicts from their topic into the inbox, and runs a deliverer for each receiver.

The position stands in PostgreSQL, in the transaction that writes the inbox; Kafka's committed offsets play no part. A
record that can't be decoded is counted, logged with its place and passed over: silence about all later breaches would
be worse. While PostgreSQL does not answer nothing is read, and everything goes on once it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from consumers.alerts.deliver import Deliverer
from consumers.alerts.inbox import put
from consumers.alerts.receiver import Receiver
from consumers.reading import LONGEST_PAUSE, LOOK, Membership, Reading, Record, monotonic
from domain import alerts as rules
from domain.errors import Unavailable
from projections.alerts import store
from projections.alerts.store import Move
from projections.positions.store import Place, Step
from projections.postgres import open_pool
from runtime import metrics
from runtime.clock import Clock
from schemas.codec import Codec, NotDecodable
from schemas.records import SlaVerdictIssued

if TYPE_CHECKING:
    from projections.postgres import Connection

log = structlog.get_logger(__name__)

_WAKES = {rules.Reading.OPENED, rules.Reading.CLOSED, rules.Reading.QUIET}
_TRY_AGAIN = (Unavailable, KafkaError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


@dataclass(slots=True)
class Verdicts:
    """A batch of them, and what became of each once they are in the inbox: None while that is not known."""

    found: list[SlaVerdictIssued] = field(default_factory=list)
    became: list[rules.Reading] | None = None


class Alerts:
    """Alerting as a member of a consumer group. Run one or several: each reads its partitions, all of them deliver.

    ``topic`` is the name on this Kafka; ``receivers`` have different names; ``clock`` is the hub's; ``jitter`` gives a
    number in [0, 1) for each wait (``random.random``). ``ready`` says whether it reads and PostgreSQL answers.
    """

    name = "alerts"
    remedy = "empty alert_positions"
    compacted = with_holes = ()

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: Codec,
        topic: str,
        receivers: Sequence[Receiver],
        clock: Clock,
        *,
        jitter: Callable[[], float],
        group: str = "alerts",
        session_timeout: float = 10.0,
    ) -> None:
        names = [receiver.name for receiver in receivers]
        if len(set(names)) != len(names):
            raise ValueError(f"two receivers of alerts have one name: {sorted(names)}; name them apart")
        # For as long as the fetch waits one partition may wait for the others: see runtime.batches.
        self._member = Membership(bootstrap, group, session_timeout, longest_wait=0.025, fetch_bytes=1024 * 1024)
        self._dsn = dsn
        self._codec = codec
        self._receivers = list(receivers)
        self._clock = clock
        self._jitter = jitter
        self._deliverers: Sequence[Deliverer] = ()
        self._reading: Reading[Verdicts] | None = None
        self.topics = (topic,)

    @property
    def ready(self) -> bool:
        """Whether it is joined to Kafka, has found its positions, and PostgreSQL answers."""
        return self._reading is not None and self._reading.ready

    async def run(self) -> None:
        """Read and deliver until cancelled. Raises ``ReadingStopped`` when only a restart can help."""
        pause = 0.2
        try:
            while True:
                began = monotonic()
                try:
                    await self._run()
                except BaseExceptionGroup as group:
                    other = group.split(_TRY_AGAIN)[1]
                    if other is not None:
                        raise _first(other) from group
                    pause = 0.2 if monotonic() - began > LOOK else min(pause * 2, LONGEST_PAUSE)
                    log.warning("a server does not answer; trying again", error=str(_first(group)), seconds=pause)
                await asyncio.sleep(pause)
        finally:
            for receiver in self._receivers:
                await receiver.close()

    async def _run(self) -> None:
        """One life: until something is gone that the whole needs. All that matters is in PostgreSQL."""
        pool = await open_pool(self._dsn, most=1 + 2 * len(self._receivers))
        try:
            self._deliverers = [Deliverer(each, pool, self._clock, self._jitter) for each in self._receivers]
            self._reading = Reading(self._member, self._dsn, self)
            async with asyncio.TaskGroup() as group:
                for deliverer in self._deliverers:
                    group.create_task(deliverer.run())
                group.create_task(self._reading.run())
        finally:
            pool.terminate()

    async def positions(self, connection: Connection, places: Collection[Place]) -> Mapping[Place, int]:
        """The next offset of each partition."""
        (topic,) = self.topics
        held = await store.positions(connection, topic, [place.partition for place in places])
        return {Place(topic, partition): at for partition, at in held.items()}

    async def decode(self, new: Mapping[Place, Sequence[Record]]) -> Verdicts:
        """The verdicts; what is none is counted and logged."""
        batch = Verdicts()
        for place, found in new.items():
            for each in found:
                try:
                    record = self._codec.decode(each.value or b"")
                except NotDecodable as error:
                    self._passed_over(place, each.offset, error.reason, str(error))
                    continue
                if isinstance(record, SlaVerdictIssued):
                    batch.found.append(record)
                else:
                    self._passed_over(place, each.offset, "not-valid", f"a {type(record).__name__} is no verdict")
        return batch

    def _passed_over(self, place: Place, offset: int, reason: str, detail: str) -> None:
        metrics.dead_letters.labels("alerts", reason).inc()
        log.error("record passed over", topic=place.topic, partition=place.partition, offset=offset, detail=detail)

    async def write(self, connection: Connection, batch: Verdicts, steps: Mapping[Place, Step]) -> None:
        """Fill the inbox and move the positions, all or nothing."""
        names = [receiver.name for receiver in self._receivers]
        moves = {place.partition: Move(*step) for place, step in steps.items()}
        batch.became = await put(connection, self.topics[0], moves, batch.found, names, self._clock.now())

    def written(self, batch: Verdicts, steps: Mapping[Place, Step]) -> None:
        """Wake the deliverers where there may be something new to deliver."""
        unknown = (batch.became or []).count(rules.Reading.UNKNOWN_OUTCOME)
        if unknown:
            log.error("verdicts with an outcome that alerts do not know were passed over", count=unknown)
        if batch.became is None or _WAKES & set(batch.became):
            for deliverer in self._deliverers:
                deliverer.wake()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
