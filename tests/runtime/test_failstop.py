"""A process that stood still ends by itself as soon as it goes on; one that turns lives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.failstop import EXIT

LIMIT = 1.0
BODY = """
import asyncio, sys, time
from runtime.failstop import Watchdog

async def main():
    watchdog = Watchdog({limit})
    watchdog.start()
    print("turning", flush=True)
    for word in iter(lambda: None, 0):
        watchdog.beat()
        await asyncio.sleep(0.05)
        if {blocked}:
            time.sleep(30)

asyncio.run(main())
"""


@contextmanager
def process(blocked: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process under a watchdog of a second, once it turns."""
    code = BODY.format(limit=LIMIT, blocked=blocked)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "turning\n"
            yield running
        finally:
            running.kill()


def ended(running: subprocess.Popen[str], seconds: float) -> int | None:
    """Its exit code, or None if it lives on for so long."""
    try:
        return running.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def test_a_process_that_turns_lives() -> None:
    with process() as running:
        assert ended(running, 2.5 * LIMIT) is None


def test_a_process_whose_loop_is_blocked_ends() -> None:
    with process(blocked=True) as running:
        assert ended(running, 20) == EXIT


@pytest.mark.parametrize(("stopped", "code"), [(0.3 * LIMIT, None), (2.5 * LIMIT, EXIT)])
async def test_a_process_that_was_stopped_for_longer_ends_at_once_when_it_goes_on(
    stopped: float, code: int | None
) -> None:
    with process() as running:
        os.kill(running.pid, signal.SIGSTOP)
        await asyncio.wait([asyncio.create_task(asyncio.sleep(stopped))])
        os.kill(running.pid, signal.SIGCONT)
        assert await asyncio.to_thread(ended, running, 20 if code else LIMIT) == code
