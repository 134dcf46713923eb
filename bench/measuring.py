"""How long something took, in wall-clock time and in CPU time of this process, and what a set of numbers says."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec


class Lap(msgspec.Struct, frozen=True):
    """The first part of a run."""

    events: int
    seconds: float
    cpu_seconds: float


class Run(msgspec.Struct, frozen=True):
    """One run of one contender. ``cpu_seconds``: user and system time of its process, all threads.

    ``lap``: its first half, where it was told; what comes after it runs warm.
    """

    contender: str
    events: int
    seconds: float
    cpu_seconds: float
    lap: Lap | None = None

    @property
    def per_second(self) -> float:
        """Events per second of wall-clock time."""
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Events per second of CPU time: what compares when other work shares the machine."""
        return self.events / self.cpu_seconds

    @property
    def cores(self) -> float:
        """How many cores were busy with it on average."""
        return self.cpu_seconds / self.seconds

    def after_lap(self) -> Run | None:
        """The part after the lap as a run of its own."""
        if self.lap is None:
            return None
        first = self.lap
        return Run(
            self.contender,
            self.events - first.events,
            self.seconds - first.seconds,
            self.cpu_seconds - first.cpu_seconds,
        )


class Stopwatch:
    """From the first ``start`` to ``stop``, with one ``lap`` between."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._lap: Lap | None = None

    def start(self) -> None:
        """Begin; does nothing when it was begun."""
        if self._began is None:
            self._began = (time.perf_counter(), time.process_time())

    def lap(self, events: int) -> None:
        """Note that so many events are through; only the first call counts."""
        if self._lap is None:
            self._lap = Lap(events, *self._since())

    def stop(self, contender: str, events: int) -> Run:
        """What was measured since the start."""
        return Run(contender, events, *self._since(), self._lap)

    def _since(self) -> tuple[float, float]:
        assert self._began is not None, "the stopwatch was not started"
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


class Spread(msgspec.Struct, frozen=True):
    """Of many durations in milliseconds: the median, the one that 99 of 100 do not exceed, and the longest."""

    COLUMNS: ClassVar = ("count", "p50", "p99", "longest")

    count: int
    p50: float
    p99: float
    longest: float

    def row(self, words: str) -> tuple[str, ...]:
        """A row of a table with ``COLUMNS``."""
        return words, f"{self.count:,}", f"{self.p50:g}", f"{self.p99:g}", f"{self.longest:g}"


def spread(seconds: Sequence[float]) -> Spread:
    """The spread of durations given in seconds; all zero for none."""
    if not seconds:
        return Spread(0, 0.0, 0.0, 0.0)
    ordered = sorted(seconds)

    def at(percent: int) -> float:
        rank = -(-percent * len(ordered) // 100)  # nearest rank, rounded up
        return round(ordered[rank - 1] * 1000, 1)

    return Spread(len(ordered), at(50), at(99), at(100))


def median(numbers: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(numbers)
