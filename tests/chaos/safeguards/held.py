"""A command of the hub that stands still where it is told to: ``python -m tests.chaos.safeguards.held FOLDER SAFEGUARDS
COMMAND…``. While ``FOLDER/changelog`` exists it waits before it writes its state, as behind a slow network; while
``FOLDER/fold`` exists it waits before it folds a batch; with ``FOLDER/hang`` its event loop hangs there once, for good.

``FOLDER/waiting`` then holds the generation that it knows. SAFEGUARDS are switched off as by ``tests.chaos.without``.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from faust.types import TP

import runtime.stage
from runtime.appending import Item, append
from runtime.worker import Worker
from tests.chaos import without

_from_position = Worker.from_position


async def _wait(folder: Path, what: str, worker: Worker | None = None) -> None:
    while (folder / what).exists():
        (folder / "waiting").write_text(str(worker.app.consumer_generation_id) if worker else what)
        await asyncio.sleep(0.02)


def hold(folder: Path) -> None:
    """Make this process stand still as the files in ``folder`` say."""

    async def held_append(
        producer: AIOKafkaProducer, topic: str, partition: int, items: Iterable[Item], expected: int | None = None
    ) -> int | None:
        if topic.endswith("changelog"):
            await _wait(folder, "changelog")
        return await append(producer, topic, partition, items, expected)

    async def held_from_position(
        self: Worker, tp: TP, position: int, records: Sequence[ConsumerRecord]
    ) -> Sequence[ConsumerRecord]:
        await _wait(folder, "fold", self)
        if (folder / "hang").exists():
            (folder / "hang").unlink()
            (folder / "waiting").write_text("hangs")
            threading.Event().wait()
        return await _from_position(self, tp, position, records)

    runtime.stage.__dict__["append"] = held_append
    Worker.from_position = held_from_position  # type: ignore[method-assign]  # in this process alone


if __name__ == "__main__":
    hold(Path(sys.argv.pop(1)))
    without.main()
