"""How many dead letters a process may write: a version or a policy that can read nothing stops the stage, instead of
turning the whole log into dead letters.

Whole batches are judged, before anything of them is sent. The share tells a fault of ours from a noisy third party,
which may well pass the count, but stops nothing unless it writes more than all others together.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runtime import metrics
from runtime.appending import Item

WITHIN = 60.0
REASON = "reason"


class TooManyDeadLetters(Exception):
    """The batch at hand must not be written; the text says what, how many, why, and what to do."""

    def __init__(self, text: str, reasons: Mapping[str, int]) -> None:
        super().__init__(text)
        self.reasons = dict(reasons)


@dataclass(slots=True)
class _Batch:
    at: float
    records: int
    letters: int
    reasons: Counter[str]


class LetterLimit:
    """Of one stage in one process, all its partitions together; ``topic`` is where its dead letters go.

    ``most``: letters within a minute; ``share``: from 0 to 1, of the records that came since the first of these
    letters. Both have to be passed. ``seconds`` is a clock that never goes back.
    """

    def __init__(
        self,
        stage: str,
        topic: str = "",
        most: int = 1_000,
        share: float = 0.5,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topic = topic
        self._stage = stage
        self._most = most
        self._share = share
        self._seconds = seconds
        self._batches: deque[_Batch] = deque()
        self._held = 0

    def check(self, reasons: Iterable[str], records: int) -> None:
        """Raises ``TooManyDeadLetters`` when a batch of ``records`` would add a letter for each of ``reasons`` and that
        is too many; changes nothing."""
        counted = Counter(reasons)
        letters, of = counted.total(), records
        if not letters or self._held + letters <= self._most:
            return
        now = self._seconds()
        met = []
        for batch in reversed(self._batches):
            if letters > self._most or now - batch.at > WITHIN:
                break
            met.append(batch)
            letters += batch.letters
            of += batch.records
        if letters > self._most and letters >= self._share * of:
            reasons_met = sum((batch.reasons for batch in met), counted)
            raise TooManyDeadLetters(self._sentence(letters, of, reasons_met), reasons_met)

    def wrote(self, reasons: Iterable[str], records: int) -> None:
        """A batch is durable, its letters included: count them."""
        counted = Counter(reasons)
        for reason, count in counted.items():
            metrics.dead_letters.labels(self._stage, reason).inc(count)
        now = self._seconds()
        while self._batches and now - self._batches[0].at > WITHIN:
            self._held -= self._batches.popleft().letters
        last = self._batches[-1] if self._batches else None
        if last is not None and not counted and not last.letters and now - last.at < 1.0:
            last.records += records  # so that a minute without letters is sixty of these
            return
        self._batches.append(_Batch(now, records, counted.total(), counted))
        self._held += counted.total()

    def _sentence(self, letters: int, records: int, reasons: Counter[str]) -> str:
        why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(5))
        return (
            f"{letters} of the last {records} records would be dead letters within a minute ({why}), more than "
            f"HUB_DEAD_LETTER_LIMIT={self._most} and HUB_DEAD_LETTER_SHARE={self._share:g} allow. Nothing of this "
            "batch was written and no position moved, so nothing is lost. If a version or a policy was just deployed, "
            "deploy the right one; if somebody really sends what can't be read or carried out, stop them, or raise "
            "the limit. `hub dlq list` shows the letters that were written before"
        )


def reasons_of(letters: Iterable[Item]) -> list[str]:
    """The reason in the headers of each dead letter."""
    return [next((value.decode() for name, value in letter.headers if name == REASON), "") for letter in letters]
