"""How long something took, in wall-clock time and in CPU time of this process, and what a set of numbers says."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import msgspec


class Run(msgspec.Struct, frozen=True):
    """One run of one contender. ``cpu_seconds``: user and system time of its process, all threads."""

    contender: str
    events: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Events per second of wall-clock time."""
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Events per second of CPU time: what compares when other work shares the machine."""
        return self.events / self.cpu_seconds


class Stopwatch:
    """From the first ``start`` to ``stop``."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        """Begin; does nothing when it was begun."""
        if self._began is None:
            self._began = (time.perf_counter(), time.process_time())

    def stop(self, contender: str, events: int) -> Run:
        """What was measured since the start."""
        assert self._began is not None, "the stopwatch was not started"
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Run(contender, events, seconds, cpu)


class Spread(msgspec.Struct, frozen=True):
    """Of many durations in milliseconds: the median, the one that 99 of 100 do not exceed, and the longest."""

    count: int
    p50: float
    p99: float
    longest: float


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
