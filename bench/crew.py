"""Several worker processes of one group, seen from outside: who got how far with which partition, and when.

A member that ends unasked is started anew, as the hub's supervisor does; ``restarts`` tells how often.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types

from bench.job import Job
from bench.peers.line_up import ROOT

PATIENCE = 90.0


class Step(NamedTuple):
    """A member's partition stood at ``next`` at an instant (monotonic, seconds)."""

    member: int
    partition: int
    next: int
    at: float


class Crew:
    """The members by number, and all of their steps in the order in which they were read."""

    def __init__(self, job: Job, logs: Path) -> None:
        self.steps: list[Step] = []
        self.restarts = 0
        self._job = job
        self._logs = logs
        self._members: dict[int, asyncio.subprocess.Process] = {}
        self._reading: list[asyncio.Task[None]] = []
        self._asked: set[int] = set()
        self._news = asyncio.Condition()

    async def join(self) -> int:
        """Start one more; its number."""
        number = len(self._members)
        await self._start(number)
        return number

    async def _start(self, number: int) -> None:
        with (self._logs / f"member-{number}.log").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.telling", msgspec.json.encode(self._job).decode(),
                cwd=self._job.folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self._members[number] = process
        self._reading.append(asyncio.create_task(self._read(number, process)))

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a member a signal; one that is told to end is not started anew."""
        if which in (signal.SIGTERM, signal.SIGKILL):
            self._asked.add(number)
        self._members[number].send_signal(which)

    def cpu_seconds(self) -> float:
        """User and system time so far of the members that are alive."""
        found = 0.0
        for process in self._members.values():
            if process.returncode is None:
                times = psutil.Process(process.pid).cpu_times()
                found += times.user + times.system
        return found

    def owners(self) -> dict[int, int]:
        """Who last took a step in each partition."""
        return {step.partition: step.member for step in self.steps}

    def ends(self) -> dict[int, int]:
        """How far each partition is."""
        found: dict[int, int] = {}
        for step in self.steps:
            found[step.partition] = max(found.get(step.partition, 0), step.next)
        return found

    async def until(self, what: str, true: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until something is true of the steps. Raises ``RuntimeError`` when it stays false for ``patience``."""
        try:
            async with asyncio.timeout(patience), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            ended = {number: process.returncode for number, process in self._members.items()}
            logs = "\n".join(file.read_text(errors="replace")[-800:] for file in self._logs.glob("member-*.log"))
            told = f"{what} did not come about in {patience:.0f} s; exits: {ended}, partitions: {self.owners()}"
            raise RuntimeError(f"{told}; the members' logs:\n{logs}") from None

    async def dismiss(self) -> None:
        """End all that are alive."""
        self._asked.update(self._members)
        for process in self._members.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*self._reading)

    async def _read(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            partition, position, at = msgspec.json.decode(line, type=tuple[int, int, float])
            async with self._news:
                self.steps.append(Step(number, partition, position, at))
                self._news.notify_all()
        await process.wait()
        if number not in self._asked:
            self.restarts += 1
            await self._start(number)


@asynccontextmanager
async def crew(job: Job, logs: Path) -> AsyncIterator[Crew]:
    """A crew without members, which is dismissed at the end."""
    found = Crew(job, logs)
    try:
        yield found
    finally:
        await found.dismiss()
