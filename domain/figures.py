"""The figures of a group of contacts: each with its formula's id, numerator, denominator, and what was left out of it.

What is counted of which contacts is counted by the read model; here the counts become figures. A figure whose parts
were agreed by different formulas has no value for the whole: the mean of two definitions is no definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from domain import service_levels as formulas
from domain.service_levels import Counts, Ratio

By = Literal["queue", "team", "organisation", "channel"]
Unit = Literal["percent", "seconds"]
MIXED = "different_formulas"
UNKNOWN = "unknown_formula"
_SECOND = Decimal(1_000_000)
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted of a group's turns in one queue (None: in none), over the turns offered in a period.

    ``counts`` are of turns whose waiting is over and whose time in queue is known; ``waited``: of those answered, in
    microseconds. ``handled``: answered, and the talk is over and known. ``vendor_waits`` and ``vendor_talks``: in how
    many of them a duration is the vendor's own sum. All others are named by what they are.
    """

    queue: str | None
    counts: Counts = field(default_factory=Counts)
    waited: int = 0
    handled: int = 0
    talked: int = 0
    held: int = 0
    wrapped_up: int = 0
    transferred: int = 0
    transferred_out: int = 0
    waiting: int = 0
    wait_unknown: int = 0
    not_queued: int = 0
    talk_unknown: int = 0
    wrap_up_unknown: int = 0
    vendor_waits: int = 0
    vendor_talks: int = 0


@dataclass(frozen=True, slots=True)
class Customers:
    """What was counted of a group's contacts, each whole: ``contacts`` offered, ``repeated`` of them followed by a
    repeat; ``open_windows``: of those not repeated, whose window is not over. Tickets that were opened or touched by a
    contact of the period: ``resolved``, of these ``resolved_first``, of these ``provisional``; and ``unresolved``."""

    contacts: int = 0
    repeated: int = 0
    open_windows: int = 0
    resolved: int = 0
    resolved_first: int = 0
    provisional: int = 0
    unresolved: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``, None where nothing was counted. Of a mean in seconds the ``numerator`` is in seconds, too.
    ``left_out``: how many contacts or tickets are not in it, by why; ``notes``: how many of those in it are to be read
    with care, by why."""

    name: str
    value: Decimal | None
    unit: Unit
    formula: str | None
    numerator: Decimal
    denominator: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


def figures(tallies: Sequence[Tally], agreed: Mapping[str, str], customers: Customers) -> list[Figure]:
    """All figures of one group. ``agreed``: the id of the service level's formula of each queue that has another than
    the usual one."""
    total = Counts(*(sum(each) for each in zip(*(tally.counts for tally in tallies), strict=True)) if tallies else ())
    away = _named(tallies, "waiting", "wait_unknown", "not_queued")
    by_vendor = _named(tallies, "vendor_waits")
    answered, handled = total.answered, sum(tally.handled for tally in tallies)
    talked, held = sum(tally.talked for tally in tallies), sum(tally.held for tally in tallies)
    part = customers
    return [
        _service_level(tallies, agreed, away, by_vendor),
        _percent(formulas.ABANDONED_OF_OFFERED, formulas.abandonment(total, with_short=True), away, by_vendor),
        _percent(
            formulas.ABANDONED_LESS_SHORT,
            formulas.abandonment(total, with_short=False),
            _some(away, short=total.abandoned_short),
            by_vendor,
        ),
        _seconds(
            formulas.ANSWER_SPEED,
            formulas.answer_speed(sum(tally.waited for tally in tallies), answered),
            _some(away, not_answered=total.offered - answered),
            by_vendor,
        ),
        _seconds(
            formulas.HANDLING_TIME,
            formulas.handling_time(talked, held, sum(tally.wrapped_up for tally in tallies), handled),
            _named(tallies, "talk_unknown"),
            _named(tallies, "wrap_up_unknown", "vendor_talks"),
        ),
        _percent(
            formulas.TRANSFER_RATE,
            Ratio(sum(tally.transferred for tally in tallies), handled),
            _named(tallies, "talk_unknown"),
            _named(tallies, "transferred_out"),
        ),
        _percent(
            formulas.REPEAT_RATE,
            formulas.repeat_rate(part.repeated, part.contacts),
            {},
            _some({}, provisional=part.open_windows),
        ),
        _percent(
            formulas.FIRST_CONTACT,
            Ratio(part.resolved_first, part.resolved),
            _some({}, unresolved=part.unresolved),
            _some({}, provisional=part.provisional),
        ),
    ]


def _service_level(
    tallies: Sequence[Tally], agreed: Mapping[str, str], away: Mapping[str, int], by_vendor: Mapping[str, int]
) -> Figure:
    """Each queue by its own terms; their sum where all of them were agreed by one formula."""
    parts = [
        (agreed.get(tally.queue or "", formulas.DEFAULT), tally.counts) for tally in tallies if tally.queue is not None
    ]
    used = sorted({name for name, counts in parts if counts.offered}) or sorted({name for name, _ in parts})
    formula = used[0] if used else formulas.DEFAULT
    if len(used) > 1 or formula not in formulas.SERVICE_LEVELS:  # a log may be older or newer than the table
        offered = sum(counts.offered for _, counts in parts)
        left_out = _some(away, **{MIXED if len(used) > 1 else UNKNOWN: offered})
        return Figure("service_level", None, "percent", None, Decimal(0), 0, left_out, by_vendor)
    ratios = [formulas.service_level(formula, counts) for name, counts in parts if name == formula]
    whole = Ratio(sum(each.numerator for each in ratios), sum(each.denominator for each in ratios))
    return _percent(formula, whole, away, by_vendor)


def _percent(formula: str, ratio: Ratio, left_out: Mapping[str, int], notes: Mapping[str, int]) -> Figure:
    name = formulas.FORMULAS[formula].figure
    return Figure(name, ratio.percent, "percent", formula, Decimal(ratio.numerator), ratio.denominator, left_out, notes)


def _seconds(formula: str, ratio: Ratio, left_out: Mapping[str, int], notes: Mapping[str, int]) -> Figure:
    name, sum_of = formulas.FORMULAS[formula].figure, Decimal(ratio.numerator) / _SECOND
    mean = (sum_of / ratio.denominator).quantize(_MICRO, ROUND_HALF_UP) if ratio.denominator else None
    return Figure(name, mean, "seconds", formula, sum_of, ratio.denominator, left_out, notes)


def _named(tallies: Iterable[Tally], *names: str) -> dict[str, int]:
    """The sums of these counts, those that are not 0."""
    some = list(tallies)
    return _some({}, **{name: sum(getattr(tally, name) for tally in some) for name in names})


def _some(others: Mapping[str, int], **more: int) -> dict[str, int]:
    return {name: count for name, count in {**others, **more}.items() if count}
