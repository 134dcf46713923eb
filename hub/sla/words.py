"""Verdicts and clocks as a person would say them: instants in the calendar's zone, durations to the second.

Nothing is decided or computed here beyond sums. English, and without the machine's locale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.attribution import shares
from domain.recheck import terms_of
from domain.repeats import Owner
from runtime.clock import SECOND
from schemas.records import Interval, SlaVerdictIssued, TicketChanged

PROMISES = {
    "first_response": "First response",
    "next_response": "Next response",
    "resolution": "Resolution",
    "agent_work": "Resolution (time of work)",
    "total_resolution": "Resolution (all time)",
    "periodic_update": "Next update",
    "acknowledgement": "Acknowledgement",
    "ownership": "Hand-over",
    "call_answer": "Answer to the call",
    "callback": "Callback",
}
STANDING = {
    "pending": "pending on the customer",
    "on_hold": "on hold",
    "resolved": "resolved",
    "closed": "closed",
    "open": "open, without a promise that runs then",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """An event that a verdict names, as its history tells it; instants in microseconds."""

    type: str
    occurred_at: int
    received_at: int


Events = Mapping[str, Told]


def lasting(microseconds: int) -> str:
    """A duration in hours, minutes and seconds, each where there is any; a part of a second as decimals."""
    sign = "-" if microseconds < 0 else ""
    seconds, rest = divmod(abs(microseconds), SECOND)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes else []
    if seconds or rest or not parts:
        parts.append(f"{seconds}{_decimals(rest)} s")
    return sign + " ".join(parts)


def _decimals(rest: int) -> str:
    return f".{rest:06}".rstrip("0") if rest else ""


def moment(at: int | None, zone: str = "Etc/UTC") -> str:
    """An instant as ``Mon 5 Jan 2026 17:00 Europe/Berlin``: seconds and their decimals only where there are any."""
    return "never" if at is None else f"{local(at, zone)} {zone}"


def local(at: int, zone: str) -> str:
    """The same without the zone's name, for tables that name it once; with the offset's where an hour comes twice."""
    seconds, rest = divmod(at, SECOND)
    there = (_EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone))
    fine = f":{there.second:02}{_decimals(rest)}" if there.second or rest else ""
    day = f"{_DAYS[there.weekday()]} {there.day} {_MONTHS[there.month - 1]} {there.year}"
    twice = there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset()
    return f"{day} {there.hour:02}:{there.minute:02}{fine}{f' {there.tzname()}' if twice else ''}"


def stamp(at: int | None) -> str:
    """An instant in UTC to the second, for tables that are read column by column."""
    return "never" if at is None else f"{_EPOCH + timedelta(microseconds=at):%Y-%m-%d %H:%M:%S}"


def promise(metric: str) -> str:
    """What was promised, to begin a sentence with."""
    return PROMISES.get(metric, metric.replace("_", " ").capitalize())


def owner(of: Interval | SlaVerdictIssued | TicketChanged | Owner) -> str:
    """Who it belonged to: ``vendor-a/first-line/agent-7``."""
    parts = (of.organisation, of.team, of.person)
    return "/".join(part for part in parts if part) or "nobody"


def threshold(at: int | None) -> str:
    """When a warning comes: a share of the target, or so long before the due."""
    if at is None:
        return ""
    return f"{at} %" if at >= 0 else f"{lasting(-at * SECOND)} before the due"


def sentences(verdict: SlaVerdictIssued, zone: str, events: Events) -> list[str]:
    """What was promised and what became of it. ``zone``: the calendar's; ``events``: those that are known."""
    what = promise(verdict.metric) + (f" (cycle {verdict.cycle})" if verdict.cycle > 1 else "")
    said = [f"{what} was {_due(verdict, zone)}; {lasting(_promised(verdict))} of open time were promised."]
    said.append(_outcome(verdict, zone, events))
    if held := holders(verdict.evidence):
        said.append(held)
    if stood := standing(verdict.evidence):
        said.append(stood)
    if verdict.quiet == "found_late":
        found = lasting(verdict.judged_at - (verdict.due_at or verdict.judged_at))
        said.append(f"It was found {found} after it happened, so nobody was paged.")
    return said


def _due(verdict: SlaVerdictIssued, zone: str) -> str:
    if verdict.due_at is not None:
        return f"due {moment(verdict.due_at, zone)}"
    return "not due at any instant, since its clock stood still"


def _outcome(verdict: SlaVerdictIssued, zone: str, events: Events) -> str:
    used, judged = lasting(verdict.elapsed), moment(verdict.judged_at, zone)
    match verdict.outcome:
        case "warned":
            left = "" if verdict.due_at is None else f", {lasting(verdict.due_at - verdict.evidence[-1].end)} before it"
            return (
                f"Warned on {judged}{left}: {used} were used, and a warning was set at {threshold(verdict.threshold)}."
            )
        case "met":
            done = _event(verdict.evidence[-1].ended_by, events)
            return f"Met on {moment(verdict.ended_at, zone)}{done}, after {used} of open time{_early(verdict)}."
        case "breached":
            return f"Breached: {used} had passed when it was judged on {judged}{_late(verdict, ', ', ' over')}."
        case "ended":
            done = _event(verdict.evidence[-1].ended_by, events)
            late = _late(verdict, ": ", " late")
            return f"Breached, and done on {moment(verdict.ended_at, zone)}{done}, after {used} of open time{late}."
        case "retracted":
            return f"Retracted on {judged} because {_because(verdict, zone, events)}: its clock now shows {used}."
        case "cancelled":
            done = _event(verdict.evidence[-1].ended_by, events)
            return f"Cancelled on {moment(verdict.ended_at, zone)}{done}, neither met nor breached, after {used}."
        case other:
            return f"{other.replace('_', ' ').capitalize()} on {judged}, after {used}."


def _promised(verdict: SlaVerdictIssued) -> int:
    """The target: of what was breached, the one that was used up, though another may hold since."""
    if verdict.outcome in ("breached", "ended") and verdict.due_at is not None:
        until = [each for each in verdict.evidence if each.running and each.begin <= verdict.due_at]
        return terms_of(verdict, until[-1]).target if until else verdict.target
    return verdict.target


def _early(verdict: SlaVerdictIssued) -> str:
    left = verdict.target - verdict.elapsed
    return f": {lasting(left)} were left" if left > 0 else ""


def _late(verdict: SlaVerdictIssued, before: str, after: str) -> str:
    """How much more was used than the target."""
    over = verdict.elapsed - _promised(verdict)
    return f"{before}{lasting(over)}{after}" if over > 0 else ""


def _event(event: str, events: Events) -> str:
    told = events.get(event)
    return f" by {told.type}" if told else " by time" if event == "time" else ""


def _because(verdict: SlaVerdictIssued, zone: str, events: Events) -> str:
    """Why an earlier verdict no longer holds: an event that came late, or one that changed the course."""
    told = events.get(verdict.cause)
    if verdict.cause == "time":
        return "time went on"
    if told is None:
        return f"event {verdict.cause} changed what is known"
    if told.received_at > told.occurred_at + SECOND:
        arrived = lasting(told.received_at - told.occurred_at)
        return f"{told.type} of {moment(told.occurred_at, zone)} arrived {arrived} late"
    return f"{told.type} of {moment(told.occurred_at, zone)} changed its course"


def holders(evidence: Sequence[Interval]) -> str:
    """Whose time it was, in the order in which they first held it."""
    told = shares(evidence).items()
    held = [f"{owner(who)} held it for {lasting(share.counted)}" for who, share in told if share.counted]
    return f"Of that open time, {', '.join(held)}." if held else ""


def standing(evidence: Sequence[Interval]) -> str:
    """How long its clock stood still, and why."""
    still: dict[str, int] = {}
    for each in evidence:
        if not each.running:
            still[each.state] = still.get(each.state, 0) + each.end - each.begin
    told = [f"{lasting(length)} while {STANDING.get(state, state)}" for state, length in still.items() if length]
    return f"The clock stood still for {', '.join(told)}." if told else ""
