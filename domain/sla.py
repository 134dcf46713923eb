"""Clocks: what became of each promise on a ticket, judged whole from its history, with the evidence for it.

An instant counts as breached when it is later than the due; under the boundary ``next_open`` that is the same as more
working time than the target. Nothing here knows what was published before; ``domain.casework`` compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from domain.business_time import Calendar
from domain.errors import DurationInvalid
from domain.policies import Boundary, Bundle, Policy
from domain.tickets import FINISHED, History, Moment
from schemas.records import Interval

NOW = "now"


class Piece(NamedTuple):
    """A stretch of a clock in which nothing that matters changed. ``counted``: microseconds of working time;
    ``policy`` and ``target``: what was promised then."""

    begin: int
    end: int
    counted: int
    moment: Moment
    ended_by: str
    running: bool
    policy: Policy
    target: int


@dataclass(slots=True)
class Judged:
    """One cycle of one promise. ``outcome``: met, breached, cancelled, or empty while it is open.

    ``due_at`` is None while it stands still; ``passed``: the warning percents reached; ``next_at``: the next instant at
    which time alone changes something. All instants and durations are microseconds.
    """

    metric: str
    cycle: int
    outcome: str
    state: str
    policy: Policy
    bundle: Bundle
    target: int
    elapsed: int
    started_at: int
    started_by: str
    pieces: list[Piece]
    due_at: int | None = None
    ended_at: int | None = None
    breached_at: int | None = None
    passed: tuple[int, ...] = ()
    next_at: int | None = None


def judge(metric: str, history: History, bundle: Bundle, now: int) -> Judged | None:
    """What became of a metric's promise by ``now``. None when no policy promises it, or it has not begun."""
    if metric == "first_response":
        ask = history.first_ask
        if ask is None:
            return None
        answer = history.first_answer
        stop, stop_by, kind = (answer.at, answer.id, "met") if answer else (None, "", "")
        finished = _first_finished(history, ask.at)
        if finished is not None and (stop is None or finished.at < stop):
            stop, stop_by, kind = finished.at, finished.by, "cancelled"
        return _run(metric, history, bundle, now, (ask.at, ask.id), (stop, stop_by, kind))
    first, last = history.moments[0], history.moments[-1]
    if last.status in FINISHED and history.resolved_at is not None:
        by = next(moment.by for moment in reversed(history.moments) if moment.at <= history.resolved_at)
        return _run(metric, history, bundle, now, (first.at, first.by), (history.resolved_at, by, "met"))
    return _run(metric, history, bundle, now, (first.at, first.by), (None, "", ""))


def _first_finished(history: History, since: int) -> Moment | None:
    return next((moment for moment in history.moments if moment.status in FINISHED and moment.at >= since), None)


def _run(
    metric: str, history: History, bundle: Bundle, now: int, start: tuple[int, str], stop: tuple[int | None, str, str]
) -> Judged | None:
    """One walk over the ticket's moments: the pieces, what they add up to, and where that exceeds the target."""
    started_at, started_by = start
    stop_at, stop_by, kind = stop
    horizon = stop_at if stop_at is not None else max(now, history.moments[-1].at, started_at)
    moments = _relevant(history.moments, started_at, horizon, stop_at is None)
    last = len(moments) - 1
    pieces: list[Piece] = []
    chosen: Policy | None = None
    elapsed = since = used = length = 0
    due_at: int | None = None
    breached_at: int | None = None
    running = False
    for index, moment in enumerate(moments):
        begin = moment.at if moment.at > started_at else started_at
        end, ended_by = (horizon, stop_by or NOW) if index == last else (moments[index + 1].at, moments[index + 1].by)
        if end <= begin and index != last:  # what held for no time changes nothing: no evidence shows it
            continue
        policy = bundle.policy_for(moment.attributes)
        target = policy.targets.get(metric) if policy else None
        duration = target.durations.get(moment.attributes.priority) if target else None
        if policy is None or target is None or duration is None:
            if chosen is not None:  # nothing promises it any more: neither met nor breached
                if running and due_at is None:
                    due_at = _used_up(bundle.calendars[chosen.calendar], since, length - used, chosen.boundary)
                stop_at, stop_by, kind, running = begin, moment.by, "cancelled", False
                break
            continue
        running = moment.status not in target.pauses and moment.status not in FINISHED
        chosen, length, since, used, due_at = policy, duration, begin, elapsed, None
        counted = 0
        if running:
            calendar = bundle.calendars[policy.calendar]
            counted = calendar.between_us(begin, end)
            left = length - elapsed
            if counted >= left or index == last:  # else the target is not used up in this piece, and another follows
                due_at = _used_up(calendar, begin, left, policy.boundary) if left >= 0 else begin
                if breached_at is None and due_at is not None and (end > due_at or left < 0):
                    breached_at = due_at  # it stays, whatever comes later
            elapsed += counted
        pieces.append(Piece(begin, end, counted, moment, ended_by, running, policy, duration))
    if chosen is None:
        return None
    outcome = "breached" if breached_at is not None else kind
    passed: tuple[int, ...] = ()
    next_at = None
    if not outcome and running:
        passed, next_at = _look_ahead(bundle.calendars[chosen.calendar], chosen, length, used, since, due_at, now)
    return Judged(
        metric,
        1,
        outcome,
        _state(outcome, stop_at is not None, running),
        chosen,
        bundle,
        length,
        elapsed,
        started_at,
        started_by,
        pieces,
        due_at if breached_at is None else breached_at,
        stop_at,
        breached_at,
        passed,
        next_at,
    )


def _used_up(calendar: Calendar, begin: int, left: int, boundary: Boundary) -> int | None:
    """When ``left`` is used up; None when the calendar opens so seldom that it lies beyond all instants it knows."""
    try:
        return calendar.add_us(begin, left, boundary)
    except DurationInvalid:
        return None


def _relevant(moments: list[Moment], start: int, horizon: int, is_open: bool) -> list[Moment]:
    """The moments that hold from ``start`` on; what changes at the very instant a clock stops no longer concerns it."""
    if len(moments) == 1:
        return moments
    first = 0
    for index, moment in enumerate(moments):
        if moment.at <= start:
            first = index
    if is_open:
        return moments[first:]
    return [m for i, m in enumerate(moments[first:]) if i == 0 or m.at < horizon]


def _state(outcome: str, ended: bool, running: bool) -> str:
    if outcome == "breached" and not ended:
        return "breached_running"
    return outcome or ("running" if running else "paused")


def _look_ahead(
    calendar: Calendar, policy: Policy, target: int, used: int, since: int, due_at: int | None, now: int
) -> tuple[tuple[int, ...], int | None]:
    """Warnings that are reached, and when time alone changes something next; ``used`` of ``target`` up to ``since``."""
    passed: list[int] = []
    upcoming = None if due_at is None else due_at + 1
    for percent in policy.warnings:
        left = target * percent // 100 - used
        at = _used_up(calendar, since, left, policy.boundary) if left > 0 else since
        if at is None:
            continue
        if at <= now:
            passed.append(percent)
        elif upcoming is None or at < upcoming:
            upcoming = at
    return tuple(passed), upcoming


def evidence(judged: Judged) -> list[Interval]:
    """The intervals whose ``counted`` sum to ``elapsed``: who owned the ticket, in which state, from what to what."""
    began_by = judged.started_by
    found: list[Interval] = []
    for piece in judged.pieces:
        told, policy = piece.moment.attributes, piece.policy
        same = policy is judged.policy and piece.target == judged.target  # then the verdict itself names it
        found.append(
            Interval(
                begin=piece.begin,
                end=piece.end,
                counted=piece.counted,
                began_by=began_by,
                ended_by=piece.ended_by,
                state=piece.moment.status,
                team=told.team,
                organisation=told.organisation,
                person=piece.moment.person,
                running=piece.running,
                queue=told.queue,
                policy=None if same else policy.name,
                target=None if same else piece.target,
                calendar=None if same else policy.calendar,
                calendar_digest=None if same else judged.bundle.calendars[policy.calendar].digest,
                boundary=None if same else policy.boundary,
            )
        )
        began_by = piece.ended_by
    return found
