"""``hub dlq``: reads dead letters from their topic, shows them, and puts them back to where they failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.table import Table

from runtime.appending import Item, append, new_producer
from runtime.settings import Settings
from schemas.codec import Codec, NotDecodable
from streams.identity import partition_of


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


async def letters(settings: Settings) -> AsyncIterator[Letter]:
    """Every dead letter that is kept, oldest first within a partition; one that was written twice comes once."""
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
        seen = set[str]()
        for part in sorted(ends):
            if begins[part] == ends[part]:
                continue
            while await consumer.position(part) < ends[part]:
                for record in (await consumer.getmany(part, timeout_ms=500)).get(part, []):
                    found = _letter(record.headers, record.key, record.value, record.timestamp)
                    if found.id not in seen:
                        seen.add(found.id)
                        yield found
    finally:
        await consumer.stop()


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


async def show_list(settings: Settings, reason: str, limit: int, out: Console) -> int:
    """Print the newest letters."""
    found = [letter async for letter in letters(settings) if not reason or letter.reason == reason]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "at (UTC)", "stage", "reason", "detail"):
        table.add_column(column, overflow="fold")
    for letter in sorted(found, key=lambda each: each.at)[-limit:]:
        table.add_row(letter.id, f"{letter.at:%Y-%m-%d %H:%M:%S}", letter.stage, letter.reason, letter.detail[:200])
    out.print(table if found else "no dead letters")
    return 0


async def show(settings: Settings, wanted: str, out: Console, err: Console) -> int:
    """Print one letter whole: what is wrong, where it came from, and its bytes, decoded where they can be."""
    async for letter in letters(settings):
        if letter.id != wanted:
            continue
        where = f"{letter.source} offset {letter.source_offset}" if letter.source_offset is not None else letter.source
        out.print(f"[bold]{letter.reason}[/] at {letter.stage}, {letter.at:%Y-%m-%d %H:%M:%S} UTC, from {where}")
        out.print(letter.detail, highlight=False, markup=False)
        value = letter.value or b""
        try:
            out.print(Codec().decode(value))
        except NotDecodable:
            out.print(f"{len(value)} bytes:", value.decode("utf-8", errors="backslashreplace")[:20_000], markup=False)
        return 0
    err.print(f"there is no dead letter {wanted!r}; see hub dlq list", highlight=False)
    return 1


def _home(letter: Letter, partitions: int) -> int:
    """The partition of a letter's conversation, where its event was first received: order within it is kept."""
    try:
        event = Codec().decode(letter.value or b"")
    except NotDecodable:
        return int(letter.source.rpartition("/")[2]) % partitions
    return partition_of(getattr(event, "conversation", ""), partitions)


async def retry(settings: Settings, ids: Sequence[str], reason: str, out: Console, err: Console) -> int:
    """Put letters back into the topic they came from, in their order.

    A letter of a door has bytes that no adapter could read: it can't be put back, and is named.
    """
    if not ids and not reason:
        err.print("name letters, or a --reason; see hub dlq list")
        return 2
    chosen = [e async for e in letters(settings) if e.id in ids or (reason and e.reason == reason)]
    back = [letter for letter in chosen if letter.source_offset is not None]
    for letter in chosen:
        if letter.source_offset is None:
            err.print(f"{letter.id}: never became an event; deliver the corrected payload again", highlight=False)
    received = settings.topic("interaction-received")
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        for letter in sorted(back, key=lambda each: (each.source, each.source_offset)):
            await append(producer, received, _home(letter, settings.partitions), [Item(letter.key, letter.value)])
    finally:
        await producer.stop()
    out.print(f"{len(back)} put back, in their order")
    return 0 if len(back) == len(chosen) else 1
