"""The identity stage: every received event goes, with its bytes unchanged, to the partition of its customer.

Each decision is recorded before anything is sent, and what is sent follows the record, so that a second attempt sends
the same to the same place. A configuration goes to every partition.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol, TypeVar

import structlog
from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord

from domain.errors import HubError, Reason, Unavailable
from projections.identity.store import RETRIED_BEFORE, Recorded, Undecided
from projections.postgres import answering
from runtime.appending import Headers, Item
from runtime.clock import Clock
from runtime.letter_limit import LetterLimit
from runtime.registry import RegistryRefused, RegistryUnavailable
from runtime.stage import ORDINAL, SOURCE, SOURCE_OFFSET
from schemas.codec import Codec, NotDecodable
from schemas.records import Configuration, ConfigurationPublished, InteractionReceived, TicketCommand
from schemas.vocabulary import CONFIGURATION
from streams.configuration import canonical_configuration
from streams.dead_letters import dead_letter, retried

DECIDED_BY = "decided_by"
STAGE = "identity"
LATEST = 6_900_000_000_000_000  # in the year 2188; calendars know the years until 2199
LONGEST_NAME = 800  # bytes; three of them make a key
_CANONICAL = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_RETRY_SECONDS = (0.1, 0.3, 1.0, 2.0)
log = structlog.get_logger()
T = TypeVar("T")
Learn = Callable[[Iterable[bytes | None]], Awaitable[None]]


class Decisions(Protocol):
    """Where decisions are made and kept."""

    async def decide(
        self, source: str, batch: Sequence[Undecided], now: int, admit: Callable[[Iterable[Recorded]], None]
    ) -> dict[int, Recorded]: ...


@lru_cache(maxsize=200_000)
def partition_of(customer: str, partitions: int) -> int:
    """The partition of a customer, as Kafka's own clients hash a key."""
    return int(murmur2(customer.encode()) & 0x7FFFFFFF) % partitions


class IdentityStage:
    """Relays ``interaction-received`` to ``interaction-identified``. Topic names are those on this Kafka."""

    def __init__(
        self,
        codec: Codec,
        decisions: Decisions,
        clock: Clock,
        source: str,
        target: str,
        dlq: str,
        partitions: int,
        learn: Learn | None = None,
        letters: LetterLimit | None = None,
    ) -> None:
        self._codec = codec
        self._decisions = decisions
        self._clock = clock
        self._source = source
        self._target = target
        self._dlq = dlq
        self._partitions = partitions
        self._learn = learn
        self._letters = letters or LetterLimit(STAGE)
        self._readable = codec.numbers()

    async def relay(self, partition: int, records: Sequence[ConsumerRecord]) -> dict[tuple[str, int], list[Item]]:
        """What follows from a batch, per topic and partition, in the order of the batch."""
        if self._learn is not None:
            await self._patiently("registry", lambda: self._ask_registry(records))
        outputs: dict[tuple[str, int], list[Item]] = {}
        batch: list[Undecided] = []
        refused: dict[int, tuple[str, str]] = {}
        for record in records:
            try:
                batch.append(self._read(record))
            except NotDecodable as error:
                refused[record.offset] = (error.reason, str(error))
            except HubError as error:
                refused[record.offset] = (error.reason.value, str(error))

        def admit(made: Iterable[Recorded]) -> None:
            """Before decisions are recorded: those of a version that refuses everything must not bind the next one."""
            reasons = [reason for reason, _ in refused.values()]
            self._letters.check([*reasons, *(each.error for each in made if each.error)], len(records))

        decided = await self._decide(partition, batch, admit) if batch else {}
        events = {each.offset: each for each in batch}
        for record in records:
            if record.offset in refused:
                reason, detail = refused[record.offset]
            elif (made := decided[record.offset]).version is not None:
                item = self._configuration(record, events[record.offset], made)
                for target in range(self._partitions):
                    outputs.setdefault((self._target, target), []).append(item)
                continue
            elif made.customer is not None:
                value = self._readable_by_all(record.value or b"", events[record.offset].event)
                item = Item(made.customer.encode(), value, self._headers(record, made))
                target = partition_of(made.customer, self._partitions)
                outputs.setdefault((self._target, target), []).append(item)
                continue
            elif made.reason == RETRIED_BEFORE:
                continue
            else:
                reason, detail = made.error or "not_resolvable", made.detail
            item = dead_letter(STAGE, record, reason, detail, self._source)
            outputs.setdefault((self._dlq, partition % self._partitions), []).append(item)
        return outputs

    def _read(self, record: ConsumerRecord) -> Undecided:
        if record.value is None:
            raise NotDecodable("not-wire-format", "the record has no value")
        event = self._codec.decode(record.value)
        if not isinstance(event, InteractionReceived):
            raise NotDecodable("not-valid", f"a {type(event).__name__} does not belong on this topic")
        check_event(event)
        body = canonical_configuration(event) if event.type == CONFIGURATION else None
        return Undecided(record.offset, event, body, retried(record))

    def _readable_by_all(self, value: bytes, event: InteractionReceived) -> bytes:
        """The bytes as received, unless only a registry knows their schema: the log must be readable without one."""
        return value if int.from_bytes(value[1:5], "big") in self._readable else self._codec.encode(event)

    async def _ask_registry(self, records: Sequence[ConsumerRecord]) -> None:
        try:
            if self._learn is not None:
                await self._learn(record.value for record in records)
        except (RegistryUnavailable, RegistryRefused) as error:
            raise Unavailable(Reason.REGISTRY_UNAVAILABLE, str(error)) from error

    async def _decide(
        self, partition: int, batch: Sequence[Undecided], admit: Callable[[Iterable[Recorded]], None]
    ) -> Mapping[int, Recorded]:
        async def ask() -> Mapping[int, Recorded]:
            with answering("identity"):
                return await self._decisions.decide(f"{self._source}/{partition}", batch, self._clock.now(), admit)

        return await self._patiently("postgres", ask)

    async def _patiently(self, server: str, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for a server that does not answer: nothing is sent and nothing is lost until it does."""
        attempt = 0
        while True:
            try:
                return await work()
            except Unavailable as error:
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                log.warning("unavailable", stage=STAGE, server=server, detail=str(error), retry_in=pause)
                attempt += 1
                await asyncio.sleep(pause)

    def _headers(self, record: ConsumerRecord, made: Recorded | None) -> Headers:
        headers = [
            (SOURCE, f"{self._source}/{record.partition}".encode()),
            (SOURCE_OFFSET, str(record.offset).encode()),
            (ORDINAL, b"0"),
        ]
        if made is not None:
            headers.append((DECIDED_BY, made.contact_point.encode()))
        return headers

    def _configuration(self, record: ConsumerRecord, one: Undecided, made: Recorded) -> Item:
        published = ConfigurationPublished(
            event=one.event.id,
            tenant=one.event.tenant,
            name=getattr(one.event.facts, "name", ""),
            version=made.version or 0,
            published_at=one.event.received_at,
            body=one.configuration or "",
        )
        return Item(None, self._codec.encode(published), self._headers(record, None))


def check_event(event: InteractionReceived) -> None:
    """Raise ``NotDecodable`` for what no adapter of ours writes, but anybody may who writes to the topic directly."""
    if not _CANONICAL(event.id):
        raise NotDecodable("not-valid", f"id {event.id[:80]!r} is no UUID in its 36-character lower-case form")
    for name, instant in (("occurred_at", event.occurred_at), ("received_at", event.received_at)):
        if not 0 < instant < LATEST:
            raise NotDecodable("not-valid", f"{name} {instant} is no instant of these years in microseconds since 1970")
    for name, value in _names_in(event):
        if "\x00" in value or len(value.encode()) > LONGEST_NAME:
            raise NotDecodable(
                "not-valid", f"{name} {value[:80]!r} has {len(value.encode())} bytes of {LONGEST_NAME}, or a null in it"
            )


def _names_in(event: InteractionReceived) -> Iterable[tuple[str, str]]:
    """The texts that PostgreSQL looks up. It knows no null character, and an index entry is at most 2,704 bytes."""
    yield "tenant", event.tenant
    for point in event.contact_points:
        yield "contact_points.kind", point.kind
        yield "contact_points.value", point.value
    facts = event.facts
    if isinstance(facts, Configuration):
        yield "facts.name", facts.name
    elif isinstance(facts, TicketCommand):
        for name in ("queue", "team", "organisation", "person"):
            yield f"facts.{name}", getattr(facts, name) or ""
