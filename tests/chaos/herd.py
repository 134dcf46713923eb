"""The hub's processes as they run in production, started anew whenever they end, to be killed and stopped from here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

RESTART_SECONDS = 0.3


class Herd:
    """``commands``: a name and the words after ``python -m``. ``codes`` counts how processes ended by themselves."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], logs: Path) -> None:
        self._commands = commands
        self._environment = os.environ | dict(environment)
        self._logs = logs
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._expected = set[int]()
        self._asleep = set[str]()
        self._waking: list[asyncio.Task[None]] = []
        self.kills = self.stops = 0
        self.codes: Counter[str] = Counter()

    def start(self, *names: str) -> None:
        """Keep these running from now on; without names all of them."""
        for name in names or self._commands:
            if name not in self._keepers:
                self._keepers[name] = asyncio.create_task(self._keep(name))

    def names(self) -> list[str]:
        """Those that run now and are not stopped."""
        running = (name for name, process in self._running.items() if process.returncode is None)
        return sorted(name for name in running if name not in self._asleep)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._running[name]
        if process.returncode is None:
            self._expected.add(process.pid)
            process.kill()
            self.kills += 1

    def stop(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after ``seconds``: what a suspended machine does to a process."""
        process = self._running[name]
        if process.returncode is None:
            process.send_signal(signal.SIGSTOP)
            self.stops += 1
            self._asleep.add(name)
            self._waking.append(asyncio.create_task(self._wake(name, process, seconds)))

    async def retire(self, name: str) -> None:
        """Ask one to end and don't start it again."""
        keeper = self._keepers.pop(name, None)
        process = self._running.get(name)
        if keeper is None or process is None:
            return
        self._expected.add(process.pid)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await self._end([process])

    async def awake(self) -> None:
        """Return when nobody is stopped any more."""
        await asyncio.gather(*self._waking, return_exceptions=True)

    async def end(self) -> None:
        """Ask all to end, wait, and kill what is left."""
        await self.awake()
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._keepers.clear()
        await self._end(list(self._running.values()))

    async def _end(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*(process.wait() for process in processes))
        except TimeoutError:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            self.codes["had to be killed at the end"] += 1
            await asyncio.gather(*(process.wait() for process in processes))

    async def _keep(self, name: str) -> None:
        while True:
            with (self._logs / f"{name}.log").open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    *self._commands[name],
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self._running[name] = process
            code = await process.wait()
            if process.pid not in self._expected and code == -signal.SIGKILL:
                self.kills += 1
                self.codes[f"{name} killed itself"] += 1
            elif process.pid not in self._expected:
                self.codes[f"{name.rstrip('0123456789-')} exit {code}"] += 1
            await asyncio.sleep(RESTART_SECONDS)

    async def _wake(self, name: str, process: asyncio.subprocess.Process, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._asleep.discard(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
