"""``hub dlq``: reads dead letters from their topic, shows them, and puts them back to where they failed.

Letters are read as a stream; of those that went by, only their numbers are remembered, to drop what a stage wrote
twice. A letter is put back before that is written down, so a run that is killed may do it again: the record names its
letter, and the identity stage takes each letter once.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, groupby
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from domain.errors import Unavailable
from domain.outputs import derived_id
from projections.dead_letters import store
from projections.postgres import open_pool, reading
from runtime.appending import Item, append, new_producer
from runtime.clock import Clock, clock_for
from runtime.settings import Settings
from schemas.codec import Codec, NotDecodable
from streams.dead_letters import RETRY_OF

if TYPE_CHECKING:
    from projections.postgres import Pool

CHUNK = 500
_TELL_EVERY = 5_000


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. ``stage``: ``door`` or a stream stage; ``source``: where its bytes came from."""

    id: str
    at: datetime
    stage: str
    reason: str
    detail: str
    source: str
    source_offset: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


async def letters(settings: Settings) -> AsyncGenerator[Letter, None]:
    """Every dead letter that is kept, oldest first within a partition; one that was written twice comes once.

    All letters of one source partition stand in one partition, in their order.
    """
    topic = settings.topic("interaction-received-dlq")
    # Named here and not assigned later: without a topic aiokafka asks for no metadata, and would know no partitions.
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        begins = await consumer.beginning_offsets(consumer.assignment())
        seen = _Seen()
        for part in sorted(ends):
            if begins[part] == ends[part]:
                continue
            consumer.pause(*(other for other in ends if other != part))  # or their records wait in memory, too
            consumer.resume(part)
            while await consumer.position(part) < ends[part]:
                for record in (await consumer.getmany(part, timeout_ms=500, max_records=CHUNK)).get(part, []):
                    found = _letter(record.headers, record.key, record.value, record.timestamp)
                    if record.offset < ends[part] and seen.first(found):
                        yield found
    finally:
        await consumer.stop()


class _Seen:
    """The letters that went by: a number each for those of a stage, an id for those of a door."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], set[int]] = {}
        self._ids = set[str]()

    def first(self, letter: Letter) -> bool:
        """Whether this letter comes for the first time."""
        if letter.source_offset is None:
            known: bool = letter.id in self._ids
            self._ids.add(letter.id)
            return not known
        numbers = self._numbers.setdefault((letter.source, letter.stage), set())
        known = letter.source_offset in numbers
        numbers.add(letter.source_offset)
        return not known


def _letter(headers: Sequence[tuple[str, bytes]], key: bytes | None, value: bytes | None, at: int) -> Letter:
    named = {name: data.decode(errors="replace") for name, data in headers}
    offset = named.get("source_offset", "")
    return Letter(
        id=named.get("id", ""),
        at=datetime.fromtimestamp(at / 1000, UTC),
        stage=named.get("stage", ""),
        reason=named.get("reason", ""),
        detail=named.get("detail", ""),
        source=named.get("source", ""),
        source_offset=int(offset) if offset.isdigit() else None,
        key=key,
        value=value,
        headers=tuple(headers),
    )


async def show_list(settings: Settings, reason: str, limit: int, out: Console, err: Console) -> int:
    """Print the newest letters, and when each was put back."""
    newest: list[tuple[datetime, int, Letter]] = []
    number = count()
    async with aclosing(letters(settings)) as kept:
        async for letter in kept:
            if not reason or letter.reason == reason:
                heapq.heappush(newest, (letter.at, next(number), letter))
                if len(newest) > limit:
                    heapq.heappop(newest)
    found = [letter for _, _, letter in sorted(newest)]
    try:
        async with await open_pool(settings.postgres, most=1) as pool, reading(pool) as connection:
            retried = await store.put_back(connection, [letter.id for letter in found])
    except Unavailable as error:
        err.print(f"which of them were put back can't be said: {error}", highlight=False)
        retried = {}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "at (UTC)", "stage", "reason", "put back (UTC)", "detail"):
        table.add_column(column, overflow="fold")
    for letter in found:
        back = f"{retried[letter.id]:%Y-%m-%d %H:%M:%S}" if letter.id in retried else ""
        at = f"{letter.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(letter.id, at, letter.stage, letter.reason, back, letter.detail[:200])
    out.print(table if found else "no dead letters")
    return 0


async def show(settings: Settings, wanted: str, out: Console, err: Console) -> int:
    """Print one letter whole: what is wrong, where it came from, and its bytes, decoded where they can be."""
    async with aclosing(letters(settings)) as kept:
        async for letter in kept:
            if letter.id == wanted:
                _print(letter, out)
                return 0
    err.print(f"there is no dead letter {wanted!r}; see hub dlq list", highlight=False)
    return 1


def _print(letter: Letter, out: Console) -> None:
    where = f"{letter.source} offset {letter.source_offset}" if letter.source_offset is not None else letter.source
    out.print(f"[bold]{letter.reason}[/] at {letter.stage}, {letter.at:%Y-%m-%d %H:%M:%S} UTC, from {where}")
    out.print(letter.detail, highlight=False, markup=False)
    value = letter.value or b""
    try:
        out.print(Codec().decode(value))
    except NotDecodable:
        out.print(f"{len(value)} bytes:", value.decode("utf-8", errors="backslashreplace")[:20_000], markup=False)


async def retry(settings: Settings, ids: Collection[str], reason: str, limit: int, out: Console, err: Console) -> int:
    """Put letters back into the topic they came from, in their order: those named, or those of a reason, at most
    ``limit`` (0: all). Left out are letters that were put back before and those whose event is in the history by now.

    A letter of a door has bytes that no adapter could read: it can't be put back, and is named.
    """
    if not ids and not reason:
        err.print("name letters, or a --reason; see hub dlq list")
        return 2
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        async with await open_pool(settings.postgres, most=1) as pool:
            work = Retry(settings, producer, pool, clock_for(settings.clock_file), out, err)
            await work.run(set(ids), reason, limit)
    finally:
        await producer.stop()
    return work.tell()


class Retry:
    """One run of ``hub dlq retry``, chunk by chunk."""

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, pool: Pool, clock: Clock, out: Console, err: Console
    ) -> None:
        self._settings = settings
        self._received = settings.topic("interaction-received")
        self._producer = producer
        self._pool = pool
        self._clock = clock
        self._codec = Codec()
        self._out = out
        self._err = err
        self.back = self.before = self.told = self.doors = self.missing = 0

    async def run(self, ids: set[str], reason: str, limit: int) -> None:
        """Read the letters as they stand now and put back those that are wanted."""
        wanted = set(ids)
        chunk: list[Letter] = []
        async with aclosing(letters(self._settings)) as kept:
            async for letter in kept:
                if letter.id not in wanted and not (reason and letter.reason == reason):
                    continue
                wanted.discard(letter.id)
                if letter.source_offset is None:
                    self._refuse(letter)
                    continue
                chunk.append(letter)
                if len(chunk) == CHUNK:
                    await self._take(chunk, limit)
                    chunk = []
                if (limit and self.back >= limit) or (not wanted and not reason):
                    break
        await self._take(chunk, limit)
        self.missing = len(wanted) if not limit or self.back < limit else 0

    async def _take(self, chunk: list[Letter], limit: int) -> None:
        open_ones = await self._open(chunk) if chunk else []
        if limit:
            open_ones = open_ones[: limit - self.back]
        if not open_ones:
            return
        # In their order already, but for what a process wrote late that had lost its partition.
        ordered = sorted(open_ones, key=lambda each: (self._home(each), each.source, each.source_offset or 0))
        for partition, found in groupby(ordered, key=self._home):
            items = [Item(each.key, each.value, [(RETRY_OF, each.id.encode())]) for each in found]
            await append(self._producer, self._received, partition, items)
        async with reading(self._pool) as connection:
            await store.note(connection, [each.id for each in ordered], self._clock.now())
        said, self.back = self.back // _TELL_EVERY, self.back + len(ordered)
        if self.back // _TELL_EVERY > said:
            self._out.print(f"{self.back} put back so far, up to {chunk[-1].id}", highlight=False)

    def _home(self, letter: Letter) -> int:
        """Where a letter is put back: the partition that its source had, so that letters of one source stay in their
        order, whatever conversations they are of."""
        return int(letter.source.rpartition("/")[2]) % self._settings.partitions

    async def _open(self, chunk: Sequence[Letter]) -> list[Letter]:
        """Those of a chunk that are still to be put back."""
        entries = {letter.id: entry for letter in chunk if (entry := self._entry(letter)) is not None}
        async with reading(self._pool) as connection:
            before = await store.put_back(connection, [letter.id for letter in chunk])
            there = await store.in_history(connection, list(entries.values()))
        self.before += len(before)
        told = [letter for letter in chunk if letter.id not in before and entries.get(letter.id) in there]
        self.told += len(told)
        return [letter for letter in chunk if letter.id not in before and entries.get(letter.id) not in there]

    def _entry(self, letter: Letter) -> str | None:
        """The id of the history's entry that a letter's event makes, if this version can read the letter."""
        try:
            return derived_id(getattr(self._codec.decode(letter.value or b""), "id", ""), "entry")
        except NotDecodable:
            return None

    def _refuse(self, letter: Letter) -> None:
        self.doors += 1
        if self.doors <= 20:
            self._err.print(f"{letter.id}: never became an event; deliver the corrected payload again", highlight=False)

    def tell(self) -> int:
        """Say what was done; the exit code."""
        self._out.print(f"{self.back} put back, in their order", highlight=False)
        if self.before:
            self._out.print(f"{self.before} left out: put back before, see hub dlq list", highlight=False)
        if self.told:
            self._out.print(f"{self.told} left out: their events are in the history", highlight=False)
        if self.doors:
            self._err.print(f"{self.doors} of doors can't be put back", highlight=False)
        if self.missing:
            self._err.print(f"{self.missing} are not among the dead letters; see hub dlq list", highlight=False)
        return 1 if self.doors or self.missing else 0
