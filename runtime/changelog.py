"""A partition's state as a compacted topic: each key with the input offset it includes, and the position of the whole.

A value is eight bytes of that offset (big endian) and the state's own bytes. Where several processes wrote (one of them
no longer the owner), the record with the highest offset counts, not the last one. Compaction knows nothing of that, so
whoever restores writes such a record down again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.appending import Item

POSITION = b"\x00position"
APPLIED = "applied"
STALLED = 45.0


class Position(msgspec.Struct, array_like=True):
    """Where a stage stands: ``next`` input offset, and per source the highest (offset, ordinal) taken from it.

    ``mark``: what the fold holds for the partition as a whole. It stands here and not under a key of its own, because a
    batch may be durable in part, and then a key may be ahead of the position, which this never is.
    """

    next: int = 0
    sources: dict[str, tuple[int, int]] = {}
    mark: bytes = b""


@dataclass(slots=True)
class Restored:
    """What a changelog partition says. ``end``: the offset that the next record written to it must get.

    ``values``: the state at the position, each key with the offset it includes. ``ahead``: keys of a batch that became
    durable in part, without its position; None for a removed one. ``overwritten``: records that an older one of another
    process stands after, to be written again.
    """

    position: Position
    values: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    ahead: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    overwritten: list[Item] = field(default_factory=list)
    end: int = 0
    records: int = 0
    seconds: float = 0.0


def entry(key: bytes, applied: int, value: bytes | None) -> Item:
    """A key's record: its state as of input offset ``applied``; None removes it."""
    offset = applied.to_bytes(8, "big")
    return Item(key, None, ((APPLIED, offset),)) if value is None else Item(key, offset + value)


def position_entry(position: Position) -> Item:
    """The position's record; it is the last one of a batch, so that it never tells of keys that are not durable."""
    return Item(POSITION, msgspec.msgpack.encode(position))


class Restoring:
    """Gathers a changelog's records into what they say; order of arrival is the order in the partition."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, bytes | None]] = {}
        self._position = Position()
        self._overwritten: set[bytes] = set()

    def read(self, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Take one record."""
        if key == POSITION:
            if value is not None:
                found = msgspec.msgpack.decode(value, type=Position)
                if found.next >= self._position.next:
                    self._position = found
            return
        if value is None:
            applied, state = next((int.from_bytes(data, "big") for name, data in headers if name == APPLIED), -1), None
        else:
            applied, state = int.from_bytes(value[:8], "big"), value[8:]
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = (applied, state)
        elif applied >= kept[0]:
            self._kept[key] = (applied, state)
            self._overwritten.discard(key)
        else:
            self._overwritten.add(key)

    def result(self) -> Restored:
        """What was gathered, without the keys that were removed at the position."""
        found = Restored(self._position)
        following = self._position.next
        apart = {key for key, (applied, value) in self._kept.items() if value is None or applied >= following}
        found.values = cast("dict[bytes, tuple[int, bytes]]", {k: v for k, v in self._kept.items() if k not in apart})
        found.ahead = {key: self._kept[key] for key in sorted(apart) if self._kept[key][0] >= following}
        found.overwritten = [entry(key, *self._kept[key]) for key in sorted(self._overwritten)]
        return found


async def restore(bootstrap: str, topic: str, partition: int) -> Restored:
    """Read a changelog partition from its beginning to the end it has now."""
    began = time.monotonic()
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        end = (await consumer.end_offsets([tp]))[tp]
        position = (await consumer.beginning_offsets([tp]))[tp]
        gathered, count = Restoring(), 0
        if position < end:
            consumer.assign([tp])
            consumer.seek(tp, position)
        moved = time.monotonic()
        while position < end:
            records = (await consumer.getmany(tp, timeout_ms=1000, max_records=10_000)).get(tp, [])
            for record in records:
                if record.offset < end:
                    gathered.read(record.key, record.value, record.headers)
                    count += 1
            if records:
                moved = time.monotonic()
            position = await consumer.position(tp)
            if time.monotonic() - moved > STALLED:
                raise TimeoutError(f"{topic}/{partition}: nothing could be read at {position} for {STALLED:.0f} s")
    finally:
        await consumer.stop()
    restored = gathered.result()
    restored.end, restored.records, restored.seconds = end, count, time.monotonic() - began
    return restored
