"""A worker that is killed where it hurts most: before, after and in the middle of what it appends, as a power cut may.

Its record batches are small, so that what it writes at once is torn into parts, as it would be in a partition with very
many customers. And its changelog's disk is full when the file that CHAOS_DISK_FULL names is there: who finds the file
removes it, and the append fails with none or half of it written. ``python -m tests.chaos.fragile worker casework``.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaStorageError

import runtime.appending
import runtime.relay
import runtime.stage
from runtime.appending import Item, append

ONCE_IN = 60  # appends
DISK_FULL = Path(os.environ.get("CHAOS_DISK_FULL", "no-such-file"))
runtime.appending.LARGEST_BATCH = 6_000


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disk_is_full() -> bool:
    try:
        DISK_FULL.unlink()
    except FileNotFoundError:
        return False
    return True


async def fragile(
    producer: AIOKafkaProducer, topic: str, partition: int, items: Iterable[Item], expected: int | None = None
) -> int | None:
    """``append``, and sometimes the end of the process, or an error."""
    every = list(items)
    if topic.endswith("-changelog") and _disk_is_full():
        await append(producer, topic, partition, every[: random.choice((0, len(every) // 2))], expected)
        raise KafkaStorageError(f"{topic}/{partition}: no space left on device")
    fate = random.randrange(3 * ONCE_IN)
    if fate == 0:
        _die()
    if fate == 1:
        await append(producer, topic, partition, every[: len(every) // 2], expected)
        _die()
    following = await append(producer, topic, partition, every, expected)
    if fate == 2:
        _die()
    return following


if __name__ == "__main__":
    for module in (runtime.stage, runtime.relay):
        module.__dict__["append"] = fragile
    from hub.cli import main

    main()
