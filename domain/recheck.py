"""A verdict recomputed from its own evidence: do its stretches, their sum, the due time and the outcome follow?

What is needed are the verdict and the calendars it names; neither the log nor what was published beside it. What only
the log can tell (whether an event happened, when, and whose the ticket was) is compared by ``hub sla verify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Literal, NamedTuple

from domain.business_time import Calendar
from domain.errors import DurationInvalid
from domain.outputs import LATE, derived_id
from domain.sla import NOTHING, NOW
from schemas.records import Interval, SlaVerdictIssued

SECOND = 1_000_000
OUTCOMES = ("warned", "met", "breached", "ended", "retracted", "cancelled")
_BREACHED = frozenset({"breached", "ended"})
_NOT_BREACHED = frozenset({"warned", "met", "cancelled"})
_DONE = frozenset({"met", "ended", "cancelled"})


class Finding(StrEnum):
    """The closed set of what can be wrong with a verdict by itself."""

    UNKNOWN_OUTCOME = "unknown_outcome"
    ID = "id"
    NO_EVIDENCE = "no_evidence"
    UNKNOWN_CALENDAR = "unknown_calendar"
    UNKNOWN_INSTANT = "unknown_instant"
    BEGIN = "begin"
    REVERSED = "reversed"
    GAP = "gap"
    CHAIN = "chain"
    COUNTED = "counted"
    SUM = "sum"
    DUE = "due"
    OUTCOME = "outcome"
    ENDED = "ended"
    THRESHOLD = "threshold"
    OWNER = "owner"
    QUIET = "quiet"


#: What each finding means, for a person.
MEANINGS = {
    Finding.UNKNOWN_OUTCOME: "no such outcome exists",
    Finding.ID: "the id is not made of ticket, metric, cycle, outcome and revision",
    Finding.NO_EVIDENCE: "there is no stretch to recompute it from",
    Finding.UNKNOWN_CALENDAR: "no calendar with this digest is at hand",
    Finding.UNKNOWN_INSTANT: "an instant lies beyond what calendars know",
    Finding.BEGIN: "the evidence does not begin where the clock does",
    Finding.REVERSED: "a stretch ends before it begins",
    Finding.GAP: "a stretch does not begin where the one before ends",
    Finding.CHAIN: "a stretch does not begin with the event that ended the one before",
    Finding.COUNTED: "the counted time is not the open time of a stretch that runs, or not 0 in one that stands still",
    Finding.SUM: "the counted times do not add up to the elapsed time",
    Finding.DUE: "the due time is not where the target is used up",
    Finding.OUTCOME: "the outcome says breached and the evidence does not, or the other way round",
    Finding.ENDED: "what is done has no end, or another than its evidence",
    Finding.THRESHOLD: "the warning's threshold was not reached, or there is one where there is no warning",
    Finding.OWNER: "the verdict is said of another owner than its evidence",
    Finding.QUIET: "it says that it was found late and was not, or the other way round",
}


class Difference(NamedTuple):
    """One thing that does not hold. ``where``: the field, such as ``evidence[2].counted``; what the verdict says there
    and what follows from its evidence (instants and durations in microseconds)."""

    finding: Finding
    where: str
    published: int | str | None
    recomputed: int | str | None


class Terms(NamedTuple):
    """What was promised in a stretch."""

    policy: str
    target: int
    calendar: str
    calendar_digest: str
    boundary: Literal["next_open", "close"]


def terms_of(verdict: SlaVerdictIssued, interval: Interval) -> Terms:
    """What was promised in a stretch: its own terms, or the verdict's."""
    boundary = interval.boundary or verdict.boundary
    return Terms(
        interval.policy or verdict.policy,
        verdict.target if interval.target is None else interval.target,
        interval.calendar or verdict.calendar,
        interval.calendar_digest or verdict.calendar_digest,
        "close" if boundary == "close" else "next_open",
    )


def recheck(verdict: SlaVerdictIssued, calendars: Mapping[str, Calendar]) -> list[Difference]:
    """What does not hold in a verdict, in the order of its evidence; nothing if all of it does.

    ``calendars``: by their digest. Of a stretch whose calendar is not among them nothing is recomputed, and it is said.
    """
    found: list[Difference] = []
    if verdict.outcome not in OUTCOMES:
        found.append(Difference(Finding.UNKNOWN_OUTCOME, "outcome", verdict.outcome, None))
    parts = (verdict.ticket, verdict.metric, str(verdict.cycle), verdict.outcome, str(verdict.revision))
    if verdict.id != derived_id(*parts):
        found.append(Difference(Finding.ID, "id", verdict.id, derived_id(*parts)))
    if not verdict.evidence:
        return [*found, Difference(Finding.NO_EVIDENCE, "evidence", 0, None)]
    found += _chain(verdict)
    total = sum(each.counted for each in verdict.evidence)
    if total != verdict.elapsed:
        found.append(Difference(Finding.SUM, "elapsed", verdict.elapsed, total))
    unknown = [
        Difference(Finding.UNKNOWN_CALENDAR, f"evidence[{index}]", terms_of(verdict, each).calendar_digest, None)
        for index, each in enumerate(verdict.evidence)
        if terms_of(verdict, each).calendar_digest not in calendars
    ]
    if verdict.calendar_digest not in calendars:
        unknown.append(Difference(Finding.UNKNOWN_CALENDAR, "calendar_digest", verdict.calendar_digest, None))
    if unknown:
        return found + unknown
    try:
        found += _counted(verdict, calendars)
        breached_at, due_at = _due(verdict, calendars)
    except DurationInvalid:
        return [*found, Difference(Finding.UNKNOWN_INSTANT, "evidence", None, None)]
    return [*found, *_concluded(verdict, breached_at, due_at)]


def _chain(verdict: SlaVerdictIssued) -> Iterator[Difference]:
    """Stretches follow each other without a gap, from the clock's start to its end."""
    first, last = verdict.evidence[0], verdict.evidence[-1]
    if first.begin != verdict.started_at:
        yield Difference(Finding.BEGIN, "evidence[0].begin", first.begin, verdict.started_at)
    for index, each in enumerate(verdict.evidence):
        if each.end < each.begin:
            yield Difference(Finding.REVERSED, f"evidence[{index}].end", each.end, each.begin)
    for index, (before, after) in enumerate(pairwise(verdict.evidence), 1):
        if after.begin != before.end:
            yield Difference(Finding.GAP, f"evidence[{index}].begin", after.begin, before.end)
        if after.began_by != before.ended_by:
            yield Difference(Finding.CHAIN, f"evidence[{index}].began_by", after.began_by, before.ended_by)
    if verdict.ended_at is None:
        if verdict.outcome in _DONE:
            yield Difference(Finding.ENDED, "ended_at", None, last.end)
        if last.ended_by != NOW:
            yield Difference(Finding.ENDED, f"evidence[{len(verdict.evidence) - 1}].ended_by", last.ended_by, NOW)
    elif verdict.ended_at != last.end or last.ended_by == NOW or verdict.outcome == "warned":
        yield Difference(Finding.ENDED, "ended_at", verdict.ended_at, None if last.ended_by == NOW else last.end)


def _counted(verdict: SlaVerdictIssued, calendars: Mapping[str, Calendar]) -> Iterator[Difference]:
    """Each stretch counts what the calendar has open in it, or nothing where the clock stands still."""
    for index, each in enumerate(verdict.evidence):
        calendar = calendars[terms_of(verdict, each).calendar_digest]
        counted = calendar.between_us(each.begin, each.end) if each.running else 0
        if counted != each.counted:
            yield Difference(Finding.COUNTED, f"evidence[{index}].counted", each.counted, counted)


def _due(verdict: SlaVerdictIssued, calendars: Mapping[str, Calendar]) -> tuple[int | None, int | None]:
    """Where the target was exceeded, None where it was not; and the due at the end, None where the clock stands."""
    used = 0
    breached_at: int | None = None
    due_at: int | None = None
    for each in verdict.evidence:
        due_at = None
        terms = terms_of(verdict, each)
        left = terms.target - used
        if not each.running:
            if left < 0 and breached_at is None and each.policy != NOTHING:
                breached_at = each.begin
            continue
        calendar = calendars[terms.calendar_digest]
        if left < 0:
            due_at = each.begin
        else:
            try:
                due_at = calendar.add_us(each.begin, left, terms.boundary)
            except DurationInvalid:  # the calendar opens so seldom that it is beyond all instants
                due_at = None
        if breached_at is None and due_at is not None and (each.end > due_at or left < 0):
            breached_at = due_at
        used += calendar.between_us(each.begin, each.end)
    return breached_at, due_at if breached_at is None else breached_at


def _concluded(verdict: SlaVerdictIssued, breached_at: int | None, due_at: int | None) -> Iterator[Difference]:
    """What follows from where the target was used up: outcome, due time, threshold, owner."""
    if verdict.outcome in _BREACHED and breached_at is None:
        yield Difference(Finding.OUTCOME, "outcome", verdict.outcome, "not breached")
    if verdict.outcome in _NOT_BREACHED and breached_at is not None:
        yield Difference(Finding.OUTCOME, "outcome", verdict.outcome, "breached")
    if verdict.due_at != due_at:
        yield Difference(Finding.DUE, "due_at", verdict.due_at, due_at)
    yield from _threshold(verdict)
    owner = owner_of(verdict.evidence, breached_at)
    for name in ("organisation", "team", "person", "queue"):
        said, meant = getattr(verdict, name), getattr(owner, name)
        if said != meant and not (said is None and name in ("person", "queue")):  # which older verdicts do not name
            yield Difference(Finding.OWNER, name, said, meant)
    late = breached_at is not None and verdict.outcome == "breached" and verdict.judged_at - breached_at > LATE
    if (verdict.quiet == "found_late") != late:
        yield Difference(Finding.QUIET, "quiet", verdict.quiet, "found_late" if late else None)


def _threshold(verdict: SlaVerdictIssued) -> Iterator[Difference]:
    """A warning was due when it was given: so many percent were used, or the due time was no further than the lead."""
    at = verdict.threshold
    if (verdict.outcome == "warned") != (at is not None):
        yield Difference(Finding.THRESHOLD, "threshold", at, None)
    elif at is not None and at >= 0 and verdict.elapsed < verdict.target * at // 100:
        yield Difference(Finding.THRESHOLD, "threshold", at, verdict.elapsed * 100 // max(verdict.target, 1))
    elif at is not None and at < 0 and (verdict.due_at is None or verdict.judged_at < verdict.due_at + at * SECOND):
        yield Difference(Finding.THRESHOLD, "threshold", at, None)


def owner_of(evidence: Sequence[Interval], breached_at: int | None) -> Interval:
    """The stretch whose owner a verdict is said of: where the target was used up, else the last one."""
    if breached_at is not None:
        for each in evidence:
            if each.begin <= breached_at <= each.end:
                return each
    return evidence[-1]
