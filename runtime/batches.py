"""Faust with batches: the consumer hands a stage up to 4,000 records of one partition at a time, and moves a committed
offset only when the stage says that everything is durable.

Overrides methods of faust-streaming 0.15.3 (``tests/contract`` fails when their shape changes): ``Consumer.getmany``,
``ack``, ``_new_offset`` and ``_new_consumer_thread``, ``AIOKafkaConsumerThread._create_worker_consumer``,
``App._new_transport`` and ``App.flow_control``. Sets ``_fetch_max_wait_ms`` of aiokafka 0.14.0's consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from tempfile import gettempdir
from typing import Any, ClassVar, cast

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError
from aiokafka.structs import ConsumerRecord
from faust.serializers import codecs
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerT, Message
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import FlowControlEvent

from runtime.settings import Settings

BATCH = 4000
FETCH_WAIT_MS = 25
METADATA_MS = 5_000
AHEAD = 2  # batches that may wait for the stage when more is fetched
_LOOK = 0.2
RAW = "hub-raw"


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka, with a short wait for records.

    aiokafka has one fetch under way per broker, and leaves out of it the partitions whose records were not taken yet.
    So what arrives in those waits until Kafka answers for the others: up to 1.5 s, as Faust sets it.
    """

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class BatchConsumer(driver.Consumer):
    """Yields one message per batch: ``value`` is the list of records, ``offset`` the last one's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: faust's own signature
        super().__init__(*args, **kwargs)
        self._completed: dict[TP, tuple[int, int]] = {}
        self._handed: deque[tuple[TP, int]] = deque()  # each batch's partition and first offset
        self._handed_in = -1
        self._dropped: dict[TP, int] = {}
        self._some_taken = asyncio.Event()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Batches of what was fetched, until the flow stops or the partitions are dealt anew."""
        if not await self._wanted():
            return
        await self._fetch_again()
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        for tp, fetched in records.items():
            if active is not None and tp not in active:
                continue
            for begin in range(0, len(fetched), BATCH):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                batch: Sequence[ConsumerRecord] = fetched[begin : begin + BATCH]
                last = batch[-1]
                # Upstream takes this for the last offset read, or for the next one after a seek; one below this batch's
                # end means "no gap" to it. What is new is decided by the stage's own position, never by this.
                self._read_offset[tp] = last.offset - 1
                self._count(generation)
                self._handed.append((tp, batch[0].offset))
                yield (
                    tp,
                    ConsumerMessage(
                        tp.topic,
                        tp.partition,
                        last.offset,
                        last.timestamp / 1000,
                        last.timestamp_type,
                        [],
                        None,
                        batch,
                        None,
                        0,
                        0,
                        tp,
                        generation_id=generation,
                    ),
                )

    async def _wanted(self) -> bool:
        """Whether the stage has almost nothing left to do; waits a little for that.

        What comes meanwhile stays in Kafka and arrives as one batch, where it would come as many. And Faust's own
        backpressure is never reached: it pauses partitions, and sleeps for a second when all of them are.
        """
        self._count(self.app.consumer_generation_id)
        if len(self._handed) > AHEAD:
            self._some_taken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._some_taken.wait(), _LOOK)
        return len(self._handed) <= AHEAD

    def _count(self, generation: int) -> None:
        """Count anew in a new generation: Faust drops what was handed on in an earlier one."""
        if generation != self._handed_in:
            self._handed_in = generation
            self._handed.clear()
            self._dropped.clear()

    def taken(self, generation: int) -> None:
        """The stage is done with the oldest batch of this generation."""
        if generation == self._handed_in and self._handed:
            self._handed.popleft()
        self._some_taken.set()

    def cleared(self) -> None:
        """Faust emptied its queues: what was handed on will not be taken, and is to be fetched once more.

        Mostly that ends a generation. But Faust resumes its streams twice when one rebalance overtakes another, and the
        second time drops what was fetched since the first, in the same generation.
        """
        while self._handed:
            tp, offset = self._handed.popleft()
            self._dropped[tp] = min(offset, self._dropped.get(tp, offset))
        self._some_taken.set()

    async def _fetch_again(self) -> None:
        """Go back to what was dropped in this generation; of what is then read twice, the stage knows its position."""
        while self._dropped and self.flow_active:
            tp, offset = self._dropped.popitem()
            if tp in self.assignment():
                with contextlib.suppress(IllegalStateError):  # it was taken away in this moment
                    await self.seek(tp, offset)

    def ack(self, message: Message) -> bool:
        """Does not move the offset: Faust also acks what it skipped, what raised and what was cancelled."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def complete(self, tp: TP, generation: int, next_offset: int) -> None:
        """Everything below ``next_offset`` is durable; the committed offset may follow, in this generation only."""
        self._completed[tp] = (generation, next_offset)
        self._acked[tp] = [0]  # upstream commits only partitions with something in here

    def _new_offset(self, tp: TP) -> int | None:
        generation, offset = self._completed.get(tp, (-1, 0))
        return offset if generation == self.app.consumer_generation_id else None


class BatchTransport(driver.Transport):
    """The aiokafka driver with the batch consumer."""

    Consumer: ClassVar[type[ConsumerT]] = BatchConsumer


class _Flow(FlowControlEvent):
    """Tells the consumer when the queues of the streams are emptied."""

    def __init__(self, app: BatchApp) -> None:
        super().__init__(loop=app.loop)
        self._app = app

    def clear(self) -> None:
        super().clear()
        self._app.batches.cleared()


class BatchApp(faust.App):
    """A Faust app whose agents receive batches."""

    @cached_property
    def flow_control(self) -> FlowControlEvent:
        """Upstream's own, which tells of what it drops."""
        return _Flow(self)

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    @property
    def batches(self) -> BatchConsumer:
        """The consumer, as what it is."""
        return cast("BatchConsumer", self.consumer)


class _RawCodec(codecs.Codec):
    """Leaves a batch as it is; decoding is the stage's, so that a bad record becomes a dead letter there."""

    def _loads(self, s: bytes) -> Any:
        return s

    def _dumps(self, s: Any) -> bytes:
        return cast("bytes", s)


def create_app(name: str, settings: Settings) -> BatchApp:
    """A Faust app for one stage: ``name`` is the consumer group. Nothing of Faust's own state or web server is used."""
    codecs.register(RAW, _RawCodec())
    session = settings.session_timeout
    return BatchApp(
        name,
        broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
        store="memory://",
        datadir=f"{gettempdir()}/interaction-hub",  # Faust makes it and, without tables, puts nothing in it
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=2 * BATCH,
        broker_session_timeout=session,
        broker_heartbeat_interval=max(0.3, min(1.0, session / 3.4)),
        broker_rebalance_timeout=max(60.0, 6 * session),
        broker_request_timeout=max(60.0, 2 * session),
        broker_commit_interval=1.0,
        # A broker that has just started may answer that it knows no such topic: then nobody in the group is given a
        # partition, until the metadata are asked for again, which by default is five minutes later.
        consumer_metadata_max_age_ms=METADATA_MS,
        stream_buffer_maxsize=4096,  # more than BatchConsumer hands on before the stage has taken it
    )
