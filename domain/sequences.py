"""Which numbers of a source's own sequence have come, and which are missing, in little space.

A stream is what one ``sequence`` counts: the events of one conversation, or all of one source (``Numbering``). Numbers
may come in any order and more than once. What is before the first number that came is not missed, unless it is known
where the stream begins. A counter that begins anew looks like repeats.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from domain.errors import HubError, Reason

MOST_GAPS = 1000
LARGEST = 2**53  # beyond it no sender that uses JSON counts right


class Gap(NamedTuple):
    """Numbers ``first`` to ``last`` are missing; ``since``: the instant at which that was seen, in microseconds."""

    first: int
    last: int
    since: int

    @property
    def size(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Seen:
    """A stream: every number from ``lowest`` to ``highest`` came, but those in ``gaps``, in their order, and so many
    more (``untold``) of the gaps up to ``told_from`` that there was no room for."""

    lowest: int
    highest: int
    gaps: tuple[Gap, ...] = ()
    untold: int = 0
    told_from: int = -1

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return self.untold + sum(gap.size for gap in self.gaps)


class Numbering(NamedTuple):
    """What the numbers of some sources count. ``per``: conversation, source or nothing; ``first``: where a stream
    begins, None if nobody knows."""

    pattern: str
    per: str
    first: int | None = None


BY_CONVERSATION = Numbering("*", "conversation")
_PER = ("conversation", "source", "nothing")


class NumberingInvalid(HubError):
    """The setting that says what sequences count can't be used."""


def read_numberings(text: str) -> tuple[Numbering, ...]:
    """Numberings from text: ``pattern=per`` or ``pattern=per:first``, white space between, the first that fits counts.

    Raises ``NumberingInvalid`` with the part that can't be used.
    """
    found = []
    for part in text.split():
        pattern, _, said = part.rpartition("=")
        per, colon, first = said.partition(":")
        if not pattern or per not in _PER or (colon and not (first.isascii() and first.isdigit())):
            detail = f"{part!r} is no pattern=conversation, pattern=source or pattern=nothing, perhaps with :first"
            raise NumberingInvalid(Reason.BAD_VALUE, detail, "sequences")
        found.append(Numbering(pattern, per, int(first) if colon else None))
    return tuple(found)


def numbering_of(source: str, numberings: Sequence[Numbering]) -> Numbering:
    """What the numbers of a source count; ``*`` and ``?`` in patterns stand for any text and any character."""
    return next((each for each in numberings if fnmatchcase(source, each.pattern)), BY_CONVERSATION)


def see(seen: Seen | None, number: int, at: int, first: int | None = None, most: int = MOST_GAPS) -> Seen:
    """The stream after ``number`` came at ``at``; the same object when it had come before.

    ``first``: where the stream begins, if that is known. No more than ``most`` gaps are kept, the highest.
    """
    if seen is None:
        lowest = number if first is None else min(first, number)
        return Seen(lowest, number, (Gap(lowest, number - 1, at),) if lowest < number else ())
    if number > seen.highest:
        fresh = (Gap(seen.highest + 1, number - 1, at),) if number > seen.highest + 1 else ()
        return _bounded(replace(seen, highest=number, gaps=seen.gaps + fresh), most)
    if number < seen.lowest:
        fresh = (Gap(number + 1, seen.lowest - 1, at),) if number < seen.lowest - 1 else ()
        return _bounded(replace(seen, lowest=number, gaps=fresh + seen.gaps), most)
    index = bisect_right(seen.gaps, number, key=lambda gap: gap.first) - 1
    if index >= 0 and number <= seen.gaps[index].last:
        gap = seen.gaps[index]
        left = (Gap(gap.first, number - 1, gap.since),) if gap.first < number else ()
        right = (Gap(number + 1, gap.last, gap.since),) if number < gap.last else ()
        return _bounded(replace(seen, gaps=seen.gaps[:index] + left + right + seen.gaps[index + 1 :]), most)
    if seen.untold and number <= seen.told_from:
        return replace(seen, untold=seen.untold - 1)  # who calls leaves out repeats, as far as he remembers them
    return seen


def _bounded(seen: Seen, most: int) -> Seen:
    if len(seen.gaps) <= most:
        return seen
    dropped = seen.gaps[: len(seen.gaps) - most]
    return replace(
        seen,
        gaps=seen.gaps[len(dropped) :],
        untold=seen.untold + sum(gap.size for gap in dropped),
        told_from=max(seen.told_from, dropped[-1].last),
    )
