"""Runs several of the hub's commands as processes and starts anew what exits; the engine relies on it, because its
answer to anything doubtful is to exit.

A process that dies again and again is started at growing intervals, so that a broken deployment does not spin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import structlog

log = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 15.0


class Supervisor:
    """Keeps processes running. ``commands``: a name and the words after ``hub``; ``environment`` is added to ours,
    and ``own`` for single ones."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str] | None = None,
        log_folder: Path | None = None,
        progress: Callable[[str], None] = lambda _line: None,
        own: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._commands = commands
        self._own = dict(own or {})
        self._environment = dict(environment or {})
        self._log_folder = log_folder
        self._progress = progress
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.restarts = 0

    async def start(self) -> None:
        """Start everything; returns at once."""
        for name, words in self._commands.items():
            self._tasks.append(asyncio.create_task(self._keep(name, words), name=name))

    async def stop(self) -> None:
        """Ask every process to stop, wait, then end what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(
            [asyncio.create_task(process.wait()) for process in running] or [asyncio.create_task(asyncio.sleep(0))],
            timeout=STOP_SECONDS,
        )
        if late:
            for process in running:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
            await asyncio.wait(late)

    def pid(self, name: str) -> int | None:
        """The process id of a running command."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.returncode is None else None

    async def _keep(self, name: str, words: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            with self._log(name) as output:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "hub",
                    *words,
                    env=os.environ | self._environment | dict(self._own.get(name, {})),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is ours: the order of stopping matters
                )
            self._processes[name] = process
            code = await process.wait()
            if loop.time() - began > HEALTHY_SECONDS:
                pause = FIRST_PAUSE
            self.restarts += 1
            log.warning("exited", command=name, code=code, again_in=pause)
            self._progress(f"{name} exited with {code}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _log(self, name: str) -> contextlib.AbstractContextManager[IO[bytes] | None]:
        if self._log_folder is None:
            return contextlib.nullcontext(None)
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return (self._log_folder / f"{name.replace(' ', '-')}.log").open("ab")
