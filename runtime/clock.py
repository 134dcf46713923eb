"""What time it is: the one place that asks the system, so that tests and the demonstration can move it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

SECOND = 1_000_000


class Clock(Protocol):
    """Something that knows the time."""

    def now(self) -> int:
        """The instant in microseconds since 1970, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """The instant in microseconds since 1970, UTC."""
        return time.time_ns() // 1000


class MovableClock:
    """The machine's clock plus the seconds that stand in a file; a missing or unreadable file adds nothing.

    Several processes share one file, so a demonstration moves the time of all of them at once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = 0
        self._offset = 0

    def now(self) -> int:
        """The instant in microseconds since 1970, UTC, with the file's seconds added."""
        try:
            changed = self._file.stat().st_mtime_ns
            if changed != self._seen:
                self._offset = round(float(self._file.read_text() or 0) * SECOND)
                self._seen = changed
        except (OSError, ValueError):
            pass
        return time.time_ns() // 1000 + self._offset

    def move(self, seconds: float) -> None:
        """Add ``seconds`` to what stands in the file, for every process that reads it."""
        self.now()
        replacement = self._file.with_suffix(".new")
        replacement.write_text(repr(self._offset / SECOND + seconds))
        replacement.replace(self._file)


def clock_for(file: str) -> Clock:
    """The movable clock where a file is named, else the machine's."""
    return MovableClock(Path(file)) if file else SystemClock()
