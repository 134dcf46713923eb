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
    """A stretch of a clock in which nothing that matters changed. ``counted``: microseconds of working time."""

    begin: int
    end: int
    counted: int
    moment: Moment
    ended_by: str
    running: bool


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


@dataclass(slots=True)
class _Course:
    """The running sum while a clock's pieces are walked."""

    elapsed: int = 0
    breached_at: int | None = None
    due_at: int | None = None
    policy: Policy | None = None
    target: int = 0
    since: int = 0
    used: int = 0


def _run(
    metric: str, history: History, bundle: Bundle, now: int, start: tuple[int, str], stop: tuple[int | None, str, str]
) -> Judged | None:
    stop_at, stop_by, kind = stop
    horizon = stop_at if stop_at is not None else max(now, history.moments[-1].at, start[0])
    course, pieces = _Course(), list[Piece]()
    moments = _relevant(history.moments, start[0], horizon, stop_at is None)
    running = False
    for index, moment in enumerate(moments):
        begin = max(moment.at, start[0])
        last = index + 1 == len(moments)
        end = horizon if last else moments[index + 1].at
        ended_by = (stop_by or NOW) if last else moments[index + 1].by
        policy = bundle.policy_for(moment.attributes)
        target = policy.targets.get(metric) if policy else None
        duration = target.durations.get(moment.attributes.priority) if target else None
        if policy is None or target is None or duration is None:
            if course.policy is not None:  # nothing promises it any more: neither met nor breached
                stop_at, stop_by, kind, running = begin, moment.by, "cancelled", False
                break
            continue
        calendar = bundle.calendars[policy.calendar]
        running = moment.status not in target.pauses and moment.status not in FINISHED
        course.policy, course.target, course.since, course.used = policy, duration, begin, course.elapsed
        course.due_at = None
        counted = 0
        if running:
            _walk(course, calendar, policy.boundary, begin, end)
            counted = calendar.between_us(begin, end)
            course.elapsed += counted
        if end > begin or last:
            pieces.append(Piece(begin, end, counted, moment, ended_by, running))
    if course.policy is None:
        return None
    outcome = "breached" if course.breached_at is not None else kind
    judged = Judged(
        metric=metric,
        cycle=1,
        outcome=outcome,
        state=_state(outcome, stop_at is not None, running),
        policy=course.policy,
        bundle=bundle,
        target=course.target,
        elapsed=course.elapsed,
        started_at=start[0],
        started_by=start[1],
        pieces=pieces,
        due_at=course.breached_at if course.breached_at is not None else course.due_at,
        ended_at=stop_at,
        breached_at=course.breached_at,
    )
    if not outcome and running:
        _look_ahead(judged, course, now)
    return judged


def _walk(course: _Course, calendar: Calendar, boundary: Boundary, begin: int, end: int) -> None:
    """Where the target is used up within or after a running piece; a breach stays, whatever comes later."""
    left = course.target - course.elapsed
    due = _used_up(calendar, begin, left, boundary) if left >= 0 else begin
    course.due_at = due
    if course.breached_at is None and due is not None and (end > due or left < 0):
        course.breached_at = due


def _used_up(calendar: Calendar, begin: int, left: int, boundary: Boundary) -> int | None:
    """When ``left`` is used up; None when the calendar opens so seldom that it lies beyond all instants it knows."""
    try:
        return calendar.add_us(begin, left, boundary)
    except DurationInvalid:
        return None


def _relevant(moments: list[Moment], start: int, horizon: int, is_open: bool) -> list[Moment]:
    """The moments that hold from ``start`` on; what changes at the very instant a clock stops no longer concerns it."""
    first = 0
    for index, moment in enumerate(moments):
        if moment.at <= start:
            first = index
    return [m for i, m in enumerate(moments[first:]) if i == 0 or is_open or m.at < horizon]


def _state(outcome: str, ended: bool, running: bool) -> str:
    if outcome == "breached" and not ended:
        return "breached_running"
    return outcome or ("running" if running else "paused")


def _look_ahead(judged: Judged, course: _Course, now: int) -> None:
    """Which warnings are reached, and when time alone changes something next."""
    calendar = judged.bundle.calendars[judged.policy.calendar]
    passed: list[int] = []
    upcoming = [judged.due_at + 1] if judged.due_at is not None else []
    for percent in judged.policy.warnings:
        left = course.target * percent // 100 - course.used
        at = _used_up(calendar, course.since, left, judged.policy.boundary) if left > 0 else course.since
        if at is not None and at <= now:
            passed.append(percent)
        elif at is not None:
            upcoming.append(at)
    judged.passed = tuple(passed)
    judged.next_at = min(upcoming, default=None)


def evidence(judged: Judged) -> list[Interval]:
    """The intervals whose ``counted`` sum to ``elapsed``: who owned the ticket, in which state, from what to what."""
    began_by = judged.started_by
    found: list[Interval] = []
    for piece in judged.pieces:
        told = piece.moment.attributes
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
            )
        )
        began_by = piece.ended_by
    return found
