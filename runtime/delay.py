"""How long something has been waiting, as a metric that goes on growing while whoever should see to it hangs: its value
is worked out when it is read, and not when somebody finds the time to set it.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Gauge

from runtime.clock import SECOND, Clock, SystemClock


class Delay:
    """Seconds since the oldest thing that waits, 0 while nothing does; one per set of the gauge's label values.

    ``clock``: the machine's, since it is compared with what Kafka noted.
    """

    def __init__(self, gauge: Gauge, clock: Clock | None = None) -> None:
        self._gauge = gauge
        self._clock = clock or SystemClock()
        self._since: dict[tuple[str, ...], int | None] = {}

    def waits(self, *labels: str, since: int) -> None:
        """Something waits that is there since ``since`` (microseconds)."""
        self._set(labels, since)

    def nothing(self, *labels: str) -> None:
        """Nothing waits."""
        self._set(labels, None)

    def known(self, *labels: str) -> None:
        """Show it: as nothing, until something is known to wait."""
        if labels not in self._since:
            self._set(labels, None)

    def _set(self, labels: tuple[str, ...], since: int | None) -> None:
        if labels not in self._since:
            self._gauge.labels(*labels).set_function(self._read(labels))
        self._since[labels] = since

    def _read(self, labels: tuple[str, ...]) -> Callable[[], float]:
        def now() -> float:
            since = self._since.get(labels)
            return 0.0 if since is None else max(self._clock.now() - since, 0) / SECOND

        return now
