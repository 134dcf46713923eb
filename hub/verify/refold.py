"""The log of one partition folded anew from its first record: what ``hub verify`` and ``hub rebuild`` both rest on.

The dropping of what a source repeated is written here a second time, on purpose: a mistake in the engine's own would
otherwise be made on both sides and cancel out.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.structs import ConsumerRecord

from hub.verify.expected import origin
from runtime.appending import Item
from runtime.changelog import Position
from streams.casework import CaseworkFold


class Refold:
    """A fold and what counts for it. ``repeated``: records that a source wrote again."""

    def __init__(self, fold: CaseworkFold) -> None:
        self.fold = fold
        self.repeated = 0
        self._highest: dict[str, tuple[int, int]] = {}

    def accepts(self, record: ConsumerRecord) -> bool:
        """Whether a record counts: it has no source, or stands above all that came from there before. Ask once."""
        place = origin(record)
        if place is None:
            return True
        source, offset, ordinal = place
        if (offset, ordinal) <= self._highest.get(source, (-1, -1)):
            self.repeated += 1
            return False
        self._highest[source] = (offset, ordinal)
        return True

    def step(self, record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
        """The outputs of a record that counts, as (topic, item)."""
        return self.fold.step(record)

    def position(self, following: int) -> Position:
        """The position record of a worker that has folded everything below ``following``."""
        return Position(following, dict(self._highest), self.fold.mark())
