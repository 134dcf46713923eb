"""The hub's processes as they run in production, started anew whenever they end, to be killed and stopped from here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

RESTART_SECONDS = 0.3
NO_SERVER, NO_SERVER_SECONDS = 2, 2.0
PATIENCE = 20.0  # seconds a process gets to end when it is asked to


class _Line(msgspec.Struct):
    """A line of a log."""

    event: str = ""
    reason: str = ""


class Herd:
    """``commands``: a name and the words after ``python -m``. ``reasons`` counts why processes ended by themselves, as
    their logs say; ``harmed``: when each of them was not well, as (begin, end) in seconds since 1970."""

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
        self.reasons: Counter[str] = Counter()
        self.harmed: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def start(self, *names: str) -> None:
        """Keep these running from now on; without names all of them."""
        for name in names or self._commands:
            if name not in self._keepers:
                self._keepers[name] = asyncio.create_task(self._keep(name))

    def kept(self, prefix: str = "") -> set[str]:
        """Those that are to run, whether they do at this moment or not."""
        return {name for name in self._keepers if name.startswith(prefix)}

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
            self.harmed[name].append((time.time(), time.time() + seconds))
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
        await self._end({name: process})

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
        await self._end(self._running)

    async def _end(self, processes: Mapping[str, asyncio.subprocess.Process]) -> None:
        running = {name: process for name, process in processes.items() if process.returncode is None}
        for process in running.values():
            for number in (signal.SIGTERM, signal.SIGCONT):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
        await asyncio.gather(*(self._ended(name, process) for name, process in running.items()))

    async def _ended(self, name: str, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            self.reasons[f"{_role(name)}: was asked to end, and had to be killed"] += 1
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _keep(self, name: str) -> None:
        while True:
            log = self._logs / f"{name}.log"
            with log.open("ab") as output:
                begin = output.tell()
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
            self.harmed[name].append((time.time(), time.time()))
            if process.pid not in self._expected and code == -signal.SIGKILL:
                self.kills += 1
                self.reasons[f"{_role(name)}: killed itself while it wrote"] += 1
            elif process.pid not in self._expected:
                self.reasons[f"{_role(name)}: exit {code}, {why(log, begin)}"] += 1
            # one that says that Kafka does not answer would only say so again, and starting it takes seconds of CPU
            await asyncio.sleep(NO_SERVER_SECONDS if code == NO_SERVER else RESTART_SECONDS)

    async def _wake(self, name: str, process: asyncio.subprocess.Process, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._asleep.discard(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)


def _role(name: str) -> str:
    return name.partition("-")[0]


def why(log: Path, begin: int) -> str:
    """Why a process ended, by the last words in its log from byte ``begin`` on; numbers are left out, to be counted."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().splitlines()
    for line in reversed(lines):
        if line.startswith(b"hub: "):
            return _counted(line.decode(errors="replace"))
        try:
            found = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:
            continue
        if found.event == "fail-stop":
            return _counted(found.reason)
    last = lines[-1].decode(errors="replace") if lines else "nothing in its log"
    return f"no fail-stop: {_counted(last)}"


def _counted(text: str) -> str:
    """Without what differs from one time to the next, topic prefixes and paths among it."""
    text = re.sub(r"[\w.-]*(?=interaction-|casework-changelog)", "", text)
    text = re.sub(r"/[\w.+-]+(/[\w.+-]+)+", "…", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)[:200]
