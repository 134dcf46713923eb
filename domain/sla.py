"""Clocks: what became of each cycle of a promise, judged whole from its ticket's history, with the evidence for it.

An instant counts as breached when it is later than the due; under the boundary ``next_open`` that is the same as more
working time than the target. When a cycle begins and ends is ``domain.cycles``; nothing here knows what was published
before, which is ``domain.announced``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from domain.business_time import Calendar
from domain.cycles import Cycle
from domain.errors import DurationInvalid
from domain.policies import Attributes, Boundary, Bundle, Policy, Target
from domain.ticket_rules import FINISHED
from domain.tickets import History, Moment
from schemas.casework_state import Fact
from schemas.records import Interval

NOW: Final = "now"
NOTHING: Final = ""
"""Stands for the policy of a stretch in which nothing was promised."""
SECOND: Final = 1_000_000
_at: Final = attrgetter("at")


#: A stretch of a clock in which nothing that matters changed: begin, end, counted (microseconds of working time), the
#: ticket's moment, the event that ended it, whether the clock ran, and the policy and target that were promised then,
#: None and 0 where nothing was. A plain tuple: most are never looked at.
Piece = tuple[int, int, int, Moment, str, bool, Policy | None, int]


@dataclass(init=False, slots=True)
class Judged:
    """One cycle of one promise. ``outcome``: met, breached, cancelled, or empty while it is open.

    ``cycle``: its number, 0 until it was given one. ``due_at`` is None while it stands still; ``passed``: the warnings
    reached, in the order in which they were (a percent, or below zero seconds before the due); ``next_at``: the next
    instant at which time alone changes something. All instants and durations are microseconds.
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
    due_at: int | None
    ended_at: int | None
    breached_at: int | None
    passed: tuple[int, ...]
    next_at: int | None

    def __init__(  # by hand: a dataclass's own is not compiled (deploy/native.py)
        self,
        metric: str,
        cycle: int,
        outcome: str,
        state: str,
        policy: Policy,
        bundle: Bundle,
        target: int,
        elapsed: int,
        started_at: int,
        started_by: str,
        pieces: list[Piece],
        due_at: int | None = None,
        ended_at: int | None = None,
        breached_at: int | None = None,
        passed: tuple[int, ...] = (),
        next_at: int | None = None,
    ) -> None:
        self.metric, self.cycle, self.outcome, self.state = metric, cycle, outcome, state
        self.policy, self.bundle, self.target, self.elapsed = policy, bundle, target, elapsed
        self.started_at, self.started_by, self.pieces = started_at, started_by, pieces
        self.due_at, self.ended_at, self.breached_at = due_at, ended_at, breached_at
        self.passed, self.next_at = passed, next_at


def judge(cycle: Cycle, history: History, bundle: Bundle, now: int) -> Judged | None:
    """What became of a cycle by ``now``. None when no policy promises it.

    One walk over what the ticket was while the cycle ran: the pieces, what they add up to, and where that exceeds the
    target. They are contiguous from the cycle's begin; where no policy promised anything, or the clock stood, they
    count nothing. When the promise lapses for good, the cycle is cancelled.
    """
    metric, started_at, started_by, stop_at, stop_by, kind, counts_closed, call = cycle
    moments: Sequence[Moment] = history.moments
    horizon = stop_at if stop_at is not None else max(now, moments[-1].at, started_at)
    if len(moments) > 1:
        moments = _relevant(moments, started_at, horizon, stop_at is None)
    last = len(moments) - 1
    pieces: list[Piece] = []
    told: Attributes | None = None
    policy: Policy | None = None
    chosen: Policy | None = None
    target: Target | None = None
    duration: int | None = None
    elapsed = since = used = length = 0
    due_at: int | None = None
    breached_at: int | None = None
    running = False
    lapsed: tuple[int, str, int] | None = None
    for index, moment in enumerate(moments):
        begin = moment.at if moment.at > started_at else started_at
        end, ended_by = (horizon, stop_by or NOW) if index == last else (moments[index + 1].at, moments[index + 1].by)
        if end <= begin and index != last:
            continue  # what held for no time changes nothing: no evidence shows it
        if call is not None:
            moment = _of_call(moment, call)
        if moment.attributes is not told:
            told = moment.attributes
            policy = bundle.policy_for(told)
            target = policy.targets.get(metric) if policy else None
            duration = target.durations.get(told.priority) if target else None
        if policy is None or target is None or duration is None:
            if chosen is not None and lapsed is None:
                if running and due_at is None:
                    due_at = _used_up(bundle.calendars[chosen.calendar], since, length - used, chosen.boundary)
                lapsed = (begin, moment.by, len(pieces))
            running = False
            pieces.append((begin, end, 0, moment, ended_by, False, None, 0))
            continue
        lapsed = None
        running = moment.status not in target.pauses and (counts_closed or moment.status not in FINISHED)
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
        elif elapsed > length and breached_at is None:
            breached_at = begin  # less was promised from then on than was used already, though the clock stands still
        pieces.append((begin, end, counted, moment, ended_by, running, policy, duration))
    if chosen is None:
        return None
    if lapsed is not None:  # nothing promises it any more: neither met nor breached
        stop_at, _, kept = lapsed
        kind = "cancelled"
        del pieces[kept:]
    outcome = "breached" if breached_at is not None else kind
    passed: tuple[int, ...] = ()
    next_at = None
    if not outcome and running:
        passed, next_at = _look_ahead(bundle.calendars[chosen.calendar], chosen, length, used, since, due_at, horizon)
    return Judged(
        metric,
        0,
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


def _of_call(moment: Moment, call: Fact) -> Moment:
    """What a waiting call is matched on: its own channel, and the queue it waits in."""
    told = moment.attributes
    return moment._replace(attributes=told._replace(channel=call.channel, queue=call.queue or told.queue))


def _used_up(calendar: Calendar, begin: int, left: int, boundary: Boundary) -> int | None:
    """When ``left`` is used up; None when the calendar opens so seldom that it lies beyond all instants it knows."""
    try:
        return calendar.add_us(begin, left, boundary)
    except DurationInvalid:
        return None


def _relevant(moments: Sequence[Moment], start: int, horizon: int, is_open: bool) -> Sequence[Moment]:
    """The moments that hold from ``start`` on; what changes at the very instant a clock stops no longer concerns it."""
    first = 0 if moments[1].at > start else bisect_right(moments, start, key=_at) - 1
    if is_open or moments[-1].at < horizon:
        return moments[first:] if first else moments
    return moments[first : max(bisect_left(moments, horizon, key=_at), first + 1)]


def _state(outcome: str, ended: bool, running: bool) -> str:
    if outcome == "breached" and not ended:
        return "breached_running"
    return outcome or ("running" if running else "paused")


def _look_ahead(
    calendar: Calendar, policy: Policy, target: int, used: int, since: int, due_at: int | None, now: int
) -> tuple[tuple[int, ...], int | None]:
    """Warnings that are reached, and when time alone changes something next; ``used`` of ``target`` up to ``since``."""
    reached: list[tuple[int, int]] = []
    upcoming = None if due_at is None else due_at + 1
    ahead = False
    for threshold in policy.warnings:
        if threshold < 0:  # so long before the due, by the clock on the wall
            at = None if due_at is None else due_at + threshold * SECOND
        elif ahead:  # percents rise: no later one is reached either, nor comes sooner
            continue
        else:
            left = target * threshold // 100 - used
            at = _used_up(calendar, since, left, policy.boundary) if left > 0 else since
            ahead = at is None or at > now
        if at is None:
            continue
        if at <= now:
            reached.append((at, threshold))
        elif upcoming is None or at < upcoming:
            upcoming = at
    if len(reached) > 1:
        reached.sort(key=_reached_at)
    return tuple(threshold for _, threshold in reached), upcoming


def _reached_at(reached: tuple[int, int]) -> int:
    return reached[0]


def evidence(judged: Judged) -> list[Interval]:
    """The intervals whose ``counted`` sum to ``elapsed``: who owned the ticket, in which state, from what to what."""
    began_by = judged.started_by
    found: list[Interval] = []
    for begin, end, counted, moment, ended_by, running, policy, target in judged.pieces:
        told = moment.attributes
        same = policy is None or (policy is judged.policy and target == judged.target)  # then the verdict names it
        found.append(
            Interval(
                begin=begin,
                end=end,
                counted=counted,
                began_by=began_by,
                ended_by=ended_by,
                state=moment.status,
                team=told.team,
                organisation=told.organisation,
                person=moment.person,
                running=running,
                queue=told.queue,
                policy=NOTHING if policy is None else None if same else policy.name,
                target=None if same else target,
                calendar=None if same or policy is None else policy.calendar,
                calendar_digest=None if same or policy is None else judged.bundle.calendars[policy.calendar].digest,
                boundary=None if same or policy is None else policy.boundary,
            )
        )
        began_by = ended_by
    return found
