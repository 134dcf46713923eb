"""A worker of the toy stage that tells its every step: ``python -m bench.telling JOB``, one of several in a group.

It writes JSON lines: ``[partition, next offset, instant]`` when a partition was restored, and after every batch. With
``held`` it works on nothing before SIGUSR1, so that several can begin together. The instant is the system's monotonic
clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import msgspec
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from bench.contenders import EndOfLog, ToyFold
from bench.job import Job, job_given
from hub.wiring import run_stage
from runtime import logging
from runtime.settings import Settings
from runtime.stage import Fold, Stage

HELD = "held"


class TellingStage(Stage):
    """A stage that writes down how far each partition is."""

    def __init__(self, settings: Settings, source: str, new_fold: Callable[[], Fold], begin: asyncio.Event) -> None:
        self._begin = begin
        self._told: dict[int, int] = {}
        super().__init__("toy", settings, EndOfLog(0), source, settings.topic("changelog"), new_fold)

    async def process(self, tp: TP, generation: int, records: Sequence[ConsumerRecord]) -> None:
        """As a stage does, once it may."""
        await self._begin.wait()
        await super().process(tp, generation, records)
        self._tell()

    async def look_after(self, partitions: set[int], generation: int) -> None:
        """As a stage does; what was taken from this one is told anew when it comes back."""
        await super().look_after(partitions, generation)
        self._told = {partition: at for partition, at in self._told.items() if partition in partitions}
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        for partition, at in self.positions().items():
            if self._told.get(partition) != at:
                self._told[partition] = at
                sys.stdout.write(msgspec.json.encode((partition, at, now)).decode() + "\n")
        sys.stdout.flush()


async def _run(job: Job) -> None:
    begin = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin.set)
    if job.name != HELD:
        begin.set()
    settings = Settings(kafka=job.kafka, topic_prefix=job.prefix, partitions=job.partitions)
    stage = TellingStage(settings, job.source, lambda: ToyFold(f"{job.prefix}entries"), begin)
    await run_stage(stage)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    logging.configure("warning", "bench")
    asyncio.run(_run(job_given()))
