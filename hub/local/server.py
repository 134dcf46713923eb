"""What Kafka's nodes, PostgreSQL and Alertmanager have in common here: started, stopped, killed, and started again."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from hub.local.process import Process, wait_until


def _nobody_asks() -> None:
    return


class Server(ABC):
    """``process``: None until it is launched here, or when another process's is handed in. ``changed`` is called each
    time that ``process`` changes, so that what is written down stays true when a test kills a server by hand."""

    start_timeout = 60.0  # seconds
    stop_timeout = 20.0  # seconds
    stop_signal = signal.SIGTERM

    def __init__(
        self, name: str, log: Path, process: Process | None = None, changed: Callable[[], None] = _nobody_asks
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._changed = changed

    @property
    def process(self) -> Process | None:
        return self._process

    @process.setter
    def process(self, process: Process | None) -> None:
        self._process = process
        self._changed()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.alive()

    @abstractmethod
    def launch(self) -> None:
        """Starts the process if none runs, and returns at once."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers a real request, now."""

    def wait_ready(self) -> None:
        """Returns when it answers; StackError if it ends before, or after ``start_timeout`` seconds."""
        wait_until(self.ready, self._process, what=self.name, log=self.log, timeout=self.start_timeout)

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Asks it to end; after ``stop_timeout`` seconds it is killed. Returns when it is gone."""
        if self._process is not None:
            self._process.stop(self.stop_signal, self.stop_timeout)
            self.process = None

    def kill(self) -> None:
        """SIGKILL, to its child processes too: what a power cut leaves behind. Returns when all are gone."""
        if self._process is not None:
            self._process.kill()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()
