"""Whose seconds they were: a promise's evidence divided among those who held the ticket.

Each microsecond of the evidence belongs to exactly one owner, or to nobody, so the shares sum exactly to what the clock
counted and, with the time in which it stood still, to what the customer waited. Fair to a vendor: time in which the
clock stood still (pending, closed hours) or in which somebody else held the ticket is never the vendor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from domain.repeats import Owner
from schemas.records import Interval


class Segment(NamedTuple):
    """A stretch [begin, end) of one owner. ``counted``: microseconds of it that the clock ran; ``stood``: the rest."""

    owner: Owner
    begin: int
    end: int
    counted: int

    @property
    def stood(self) -> int:
        """Microseconds that passed for the customer and count against nobody."""
        return self.end - self.begin - self.counted


class Share(NamedTuple):
    """What one owner has of a clock: ``counted`` microseconds against them, ``stood`` microseconds that are not."""

    counted: int
    stood: int


def segments(evidence: Sequence[Interval]) -> list[Segment]:
    """The evidence as stretches of one owner each: neighbours of one owner are joined, none overlap, none is lost."""
    found: list[Segment] = []
    for each in evidence:
        owner = Owner(each.organisation, each.team, each.person)
        last = found[-1] if found else None
        if last is not None and last.owner == owner and last.end == each.begin:
            found[-1] = last._replace(end=each.end, counted=last.counted + each.counted)
        else:
            found.append(Segment(owner, each.begin, each.end, each.counted))
    return found


def shares(evidence: Sequence[Interval]) -> dict[Owner, Share]:
    """What each owner has of it, in the order in which they first held it. The sums are exact: of ``counted`` the
    verdict's elapsed time, of both together the time from the evidence's begin to its end."""
    found: dict[Owner, Share] = {}
    for each in segments(evidence):
        had = found.get(each.owner, Share(0, 0))
        found[each.owner] = Share(had.counted + each.counted, had.stood + each.stood)
    return found


def by_organisation(evidence: Sequence[Interval]) -> dict[str | None, Share]:
    """The shares of whole organisations; None for time that nobody held."""
    found: dict[str | None, Share] = {}
    for owner, share in shares(evidence).items():
        had = found.get(owner.organisation, Share(0, 0))
        found[owner.organisation] = Share(had.counted + share.counted, had.stood + share.stood)
    return found


def parts(evidence: Sequence[Interval]) -> dict[str | None, Fraction]:
    """Each organisation's part of what the clock counted: fractions that sum to exactly 1; none where nothing was."""
    held = by_organisation(evidence)
    elapsed = sum(share.counted for share in held.values())
    return {who: Fraction(share.counted, elapsed) for who, share in held.items()} if elapsed else {}


def overrun(evidence: Sequence[Interval], target: int) -> dict[str | None, int]:
    """Of the time counted beyond ``target``, whose it was: who used the target up is not who lets it run on.

    Microseconds per organisation; they sum to exactly what was counted beyond the target.
    """
    found: dict[str | None, int] = {}
    used = 0
    for each in segments(evidence):
        beyond = max(0, used + each.counted - max(target, used))
        used += each.counted
        if beyond:
            organisation = each.owner.organisation
            found[organisation] = found.get(organisation, 0) + beyond
    return found


def charged(evidence: Sequence[Interval], target: int) -> str | None:
    """Who a breach is charged to, once: the organisation that held the ticket when the target was used up."""
    used = 0
    last: str | None = None
    for each in segments(evidence):
        last = each.owner.organisation
        used += each.counted
        if used > target:
            break
    return last


class Breach(NamedTuple):
    """A breached clock, as far as its division among owners depends on it."""

    metric: str
    target: int
    evidence: Sequence[Interval]


@dataclass(slots=True)
class Held:
    """What one organisation has of the breached clocks of one metric. ``charged``: breaches charged to it; ``held``:
    those in which it held the ticket at all. ``part``: the sum of its parts of them, so that the parts of all
    organisations sum to the number of breaches. The rest is microseconds."""

    charged: int = 0
    held: int = 0
    part: Fraction = Fraction(0)
    counted: int = 0
    stood: int = 0
    overrun: int = 0


def of_breaches(breaches: Iterable[Breach]) -> dict[tuple[str, str | None], Held]:
    """Breaches divided among organisations, by metric and organisation."""
    found: dict[tuple[str, str | None], Held] = {}
    for breach in breaches:
        fractions, beyond = parts(breach.evidence), overrun(breach.evidence, breach.target)
        for who, share in by_organisation(breach.evidence).items():
            held = found.setdefault((breach.metric, who), Held())
            held.held += 1
            held.part += fractions.get(who, Fraction(0))
            held.counted += share.counted
            held.stood += share.stood
            held.overrun += beyond.get(who, 0)
        if breach.evidence:
            found[breach.metric, charged(breach.evidence, breach.target)].charged += 1
    return found
