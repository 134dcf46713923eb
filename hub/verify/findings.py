"""What a comparison found, in the three sorts of ``hub.verify.check``, and what was compared.

Of each sort the first thousand are kept in words and all are counted: a damage that is everywhere fits in memory, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

KEPT = 1000
NAMED = 100_000


class Named:
    """Things by their name, up to ``NAMED`` of them; further ones are counted."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.more = 0

    def add(self, name: str, where: str) -> None:
        """One more; ``where``: a whole sentence about it."""
        if len(self.found) < NAMED:
            self.found[name] = where
        else:
            self.more += 1


@dataclass(slots=True)
class Findings:
    """``counts``: how many of each sort; ``lines``: the first of each, in words."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[str]] = field(default_factory=lambda: {"lost": [], "doubled": [], "different": []})
    compared: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.counts.values())

    def add(self, sort: str, lines: Iterable[str], more: int = 0) -> None:
        """Differences of one sort, and how many more there are that have no words."""
        for line in lines:
            self.counts[sort] += 1
            if len(self.lines[sort]) < KEPT:
                self.lines[sort].append(line)
        self.counts[sort] += more

    def pair(self, missing: Named, extra: Named) -> None:
        """What is missing is lost, what nothing asks for is doubled; where both have the same name, it is different."""
        both = missing.found.keys() & extra.found.keys()
        self.add("different", (extra.found[name] for name in both))
        self.add("lost", (line for name, line in missing.found.items() if name not in both), missing.more)
        self.add("doubled", (line for name, line in extra.found.items() if name not in both), extra.more)

    def summary(self) -> str:
        """The counts of the three sorts."""
        return " ".join(f"{sort} {self.counts[sort]}" for sort in self.lines)
