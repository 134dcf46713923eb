"""Puts events on ``interaction-received`` and what could not be read on its dead-letter topic, durably.

``publish`` returns when every in-sync replica has every event, and raises within the timeout when it can't tell. A
timed-out event may still land later: an idempotent aiokafka producer never expires a batch. That is harmless, because
the sender delivers again and the ids are equal. The process may start before Kafka does, and outlive its restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from runtime import metrics
from runtime.clock import Clock
from schemas.codec import Codec
from schemas.records import InteractionReceived

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LETTERS = uuid.UUID("0b1f2b1e-3f0c-5d52-8a55-6c1d0c3f7e90")
_LARGEST = 1_000_000  # bytes; Kafka's default limit of a record is 1,048,588, and headers take some of it
_DETAIL = 2_000  # characters of a dead letter's detail; a longer one is cut
_PAUSES = (0.1, 0.2, 0.5, 1.0)  # seconds between attempts to connect; the last one repeats
Headers = list[tuple[str, bytes]]


class RecordRefused(Exception):
    """An event that can't become a record; sending it again will not help. ``reason``: too_large or not_valid."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Blobs(Protocol):
    """Where bytes go that are too large for a topic."""

    def put(self, data: bytes) -> str: ...


class Topics(NamedTuple):
    """The topics written to, under their names on this Kafka."""

    received: str
    dead_letters: str


class KafkaPublisher:
    """One producer for all doors of a process. Many ``publish`` calls at once share batches.

    ``timeout``: seconds a call waits for Kafka. ``unavailable``: makes the error raised then from its detail.
    """

    def __init__(
        self,
        bootstrap: str,
        codec: Codec,
        topics: Topics,
        blobs: Blobs,
        clock: Clock,
        timeout: float,
        unavailable: Callable[[str], Exception],
    ) -> None:
        self._bootstrap = bootstrap
        self._codec = codec
        self._topics = topics
        self._blobs = blobs
        self._clock = clock
        self._timeout = timeout
        self._unavailable = unavailable
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._acknowledged = 0.0
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a producer that has not been given up; says nothing of Kafka at this moment."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Begin to connect. Returns at once, whether Kafka is there or not."""
        self._connecting = asyncio.create_task(self._keep_connected(), name="publisher")

    async def stop(self) -> None:
        """Send what waits, as far as Kafka takes it within the timeout, and disconnect."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        producer, self._producer = self._producer, None
        self._connected.clear()
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.flush(), self._timeout)
            await _give_up(producer)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def publish(self, events: Sequence[InteractionReceived]) -> None:
        """Make the events durable, in their order per conversation. Part of them may be so when this raises."""
        await self._send(self._topics.received, [self._record(event) for event in events])

    async def dead_letter(self, source: str, reason: str, detail: str, body: bytes, stage: str = "door") -> str:
        """Keep ``body`` as it came. Returns the letter's id, which is the same for the same body and reason."""
        id_ = str(uuid.uuid5(_LETTERS, "\x1f".join((source, reason, hashlib.sha256(body).hexdigest()))))
        headers: Headers = [
            ("id", id_.encode()),
            ("stage", stage.encode()),
            ("reason", reason.encode()),
            ("detail", detail[:_DETAIL].encode(errors="replace")),
            ("source", source.encode()),
            ("at", str(self._clock.now()).encode()),
        ]
        if len(body) > _LARGEST:
            headers.append(("blob", (await asyncio.to_thread(self._blobs.put, body)).encode()))
            body = b""
        await self._send(self._topics.dead_letters, [(None, body, headers)])
        metrics.dead_letters.labels(stage, reason).inc()
        return id_

    def _record(self, event: InteractionReceived) -> tuple[bytes, bytes, Headers]:
        try:
            key, value, headers = event.conversation.encode(), self._codec.encode(event), _attributes(event)
        except (ValueError, OverflowError, TypeError) as error:
            raise RecordRefused("not_valid", f"event {event.id} can't be written as Avro: {error}") from error
        if len(key) + len(value) > _LARGEST:
            raise RecordRefused(
                "too_large",
                f"event {event.id} takes {len(value)} bytes, a record at most {_LARGEST}: put large parts of it"
                " into attachments or raw.reference",
            )
        return key, value, headers

    async def _send(self, topic: str, records: Sequence[tuple[bytes | None, bytes, Headers]]) -> None:
        """Hand the records to the producer and await all acknowledgements."""
        if not records:
            return
        if self._connecting is None:
            raise RuntimeError("the publisher was not started")
        began = time.monotonic()
        waiting: list[asyncio.Future[object]] = []
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await self._connected.wait()
                producer = self._producer
                assert producer is not None  # set before the event is
                for key, value, headers in records:
                    waiting.append(await producer.send(topic, value, key=key, headers=headers))
                if len(waiting) == 1:
                    await waiting[0]  # what most deliveries are; to gather one costs a twentieth of the door's time
                else:
                    await asyncio.gather(*waiting)
        except TimeoutError as error:
            if producer is not None and topic not in producer.client.cluster.topics():
                raise self._missing(topic) from error
            # A producer can hang after a broker's restart; one that was silent all this time is replaced.
            if producer is not None and self._acknowledged < began:
                self._replace(producer)
            raise self._unavailable(
                f"Kafka at {self._bootstrap} did not acknowledge within {self._timeout:g} s; deliver again later"
            ) from error
        except UnknownTopicOrPartitionError as error:
            raise self._missing(topic) from error
        except KafkaError as error:
            # After a refused batch an idempotent producer has a gap in its sequence and would fail for ever.
            if producer is not None:
                self._replace(producer)
            raise self._unavailable(f"Kafka at {self._bootstrap} refused a write: {error!r}") from error
        finally:
            for future in waiting:  # stops nothing; keeps asyncio from complaining of errors that nobody fetched
                if not future.cancel() and not future.cancelled():
                    future.exception()
        self._acknowledged = time.monotonic()
        metrics.publish_seconds.observe(self._acknowledged - began)

    def _missing(self, topic: str) -> Exception:
        return self._unavailable(f"topic {topic} does not exist; create it with: hub topics apply")

    def _replace(self, producer: AIOKafkaProducer) -> None:
        """Give up a producer, if no other call has done so before."""
        if self._producer is producer:
            self._producer = None
            self._connected.clear()
            self._broken.set()
            closing = asyncio.create_task(_give_up(producer), name="publisher-give-up")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _keep_connected(self) -> None:
        """Connect, and again whenever the producer was given up."""
        attempt = 0
        while True:
            self._broken.clear()
            # Not longer than a call waits: a request that hangs is tried again while its sender still waits.
            milliseconds = max(1_000, round(self._timeout * 1_000))
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                linger_ms=2,
                max_batch_size=256 * 1024,
                max_request_size=_LARGEST + 48_000,
                request_timeout_ms=milliseconds,
                client_id="hub-publisher",
            )
            try:
                await asyncio.wait_for(producer.start(), max(10.0, 2 * self._timeout))
            except (TimeoutError, KafkaError, OSError) as error:
                await _give_up(producer)
                if attempt == 0:
                    _log.warning("Kafka at %s can't be reached, trying on: %r", self._bootstrap, error)
                await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1
                continue
            except asyncio.CancelledError:
                await _give_up(producer)
                raise
            attempt = 0
            self._producer = producer
            self._connected.set()
            await self._broken.wait()
            _log.warning("the producer for %s was given up, connecting anew", self._bootstrap)


async def _give_up(producer: AIOKafkaProducer) -> None:
    """Close a producer without waiting for what it has not sent: its senders were told to deliver again."""
    sender = producer._sender.sender_task  # stop() alone would wait for a server that may never come back
    producer._message_accumulator.fail_all(KafkaError("the producer was given up"))
    await producer.client.close()
    if sender is not None:
        sender.cancel()
        await asyncio.wait({sender}, timeout=2)
    with contextlib.suppress(TimeoutError, KafkaError):
        await asyncio.wait_for(producer.stop(), 2)


def _attributes(event: InteractionReceived) -> Headers:
    """CloudEvents attributes in binary mode (CloudEvents Kafka protocol binding 1.0.2, section 3.2)."""
    at = (_EPOCH + timedelta(microseconds=event.occurred_at)).isoformat().replace("+00:00", "Z")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", at.encode()),
        ("content-type", b"application/avro"),
    ]
