"""The tables of ``docs/figures.md``: formulas from the code, examples computed by it."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from domain.attribution import Breach, of_breaches
from domain.business_time import to_us
from domain.repeats import Call, classify
from domain.service_levels import FORMULAS, SERVICE_LEVELS, Counts, service_level
from schemas.records import Interval

DAY = Counts(answered=1000, abandoned=60, answered_within=860, abandoned_within=20, abandoned_short=10)
CALLS = ("2024-01-15T09:00Z", "2024-01-15T09:10Z", "2024-01-18T09:00Z", "2024-01-26T09:00Z")
HOUR = 3600 * 1_000_000
HELD = (("vendor-a", 2, True), ("own", 3, True), ("vendor-a", 4, False), ("vendor-a", 1, True))


def _table(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def formulas() -> str:
    """A row per formula: figure, id, sentence, source."""
    rows = _table("figure", "formula", "", "source")
    for each in FORMULAS.values():
        rows.append(f"| {each.figure.replace('_', ' ')} | `{each.id}` | {each.sentence} | {each.source} |")
    return "\n".join(rows)


def one_day() -> str:
    """The day by every formula of the service level."""
    rows = _table("formula", "of", "service level")
    for each in SERVICE_LEVELS:
        ratio = service_level(each, DAY)
        rows.append(f"| `{each}` | {ratio.numerator} / {ratio.denominator} | {ratio.percent:.2f} % |")
    return "\n".join(rows)


def repeats() -> str:
    """Four calls of a customer about one thing."""
    rows = _table("call", "is", "and the next one is a repeat of it")
    for told in classify(Call(to_us(datetime.fromisoformat(text)), text) for text in CALLS):
        at = datetime.fromisoformat(told.call.key)
        rows.append(f"| {at:%d %H:%M} | {told.kind} | {'yes' if told.triggers else 'no'} |")
    return "\n".join(rows)


def attribution() -> str:
    """A breach divided between a vendor and the own team."""
    at, evidence = 0, []
    for who, hours, running in HELD:
        begin, at = at, at + hours * HOUR
        counted = hours * HOUR if running else 0
        evidence.append(Interval(begin, at, counted, "", "", "open", organisation=who, running=running))
    rows = _table("organisation", "charged", "held", "part", "counted", "stood still", "beyond the target")
    for (_, organisation), held in of_breaches([Breach("resolution", 4 * HOUR, evidence)]).items():
        times = [f"{Fraction(each, HOUR)} h" for each in (held.counted, held.stood, held.overrun)]
        rows.append(f"| {organisation} | {held.charged} | {held.held} | {held.part} | {' | '.join(times)} |")
    return "\n".join(rows)
