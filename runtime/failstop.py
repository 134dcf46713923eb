"""Stopping at once when going on could lose or double something: the supervisor starts the process anew, and the
state's position decides what is done again. The watchdog does the same for a process that stood still.
"""

from __future__ import annotations

import os
import threading
import time
from typing import NoReturn

import structlog

EXIT = 70
log = structlog.get_logger()


def fail_stop(reason: str) -> NoReturn:
    """Leave the process now, without any clean-up that might still write."""
    log.error("fail-stop", reason=reason, exit=EXIT)
    os._exit(EXIT)


class Watchdog:
    """A thread that ends the process when the event loop, or the whole process, stood still for ``limit`` seconds.

    After so long (half the session timeout) the partitions may already be another worker's.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._beaten = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; ``beat`` has to be called from the event loop from now on."""
        self._beaten = time.monotonic()
        self._thread.start()

    def beat(self) -> None:
        """The event loop turns."""
        self._beaten = time.monotonic()

    def stop(self) -> None:
        """Look no more: the process is ending as it should, and who started it waits only so long."""
        self._over.set()

    def _watch(self) -> None:
        pause = self._limit / 10
        while not self._over.is_set():
            slept = time.monotonic()
            time.sleep(pause)
            now = time.monotonic()
            if now - slept > self._limit:
                fail_stop(f"the process stood still for {now - slept:.1f} s")
            if now - self._beaten > self._limit:
                fail_stop(f"the event loop stood still for {now - self._beaten:.1f} s")
