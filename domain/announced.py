"""What is to be said of a ticket's clocks: which of them is which cycle again, and what changed since it was last said.

A cycle's number is given out when something is first said of it, and kept: it is known again by the instant at which
it began then, or, when a late event moved its begin, as the one cycle that instant lies in. Finished cycles stay as
they were said until something arrives that happened before their end; a long ticket costs what its newest cycles cost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from domain.cycles import Cycle
from domain.policies import Bundle
from domain.sla import Judged, judge
from domain.tickets import History
from schemas.casework_state import AnnouncedClock

KEPT: Final = 5
"""So many cycles of a metric, the newest, stand on a ticket, and older ones while they are open."""

_at: Final = attrgetter("at")
_NOTHING: Final[list[AnnouncedClock]] = []


#: A cycle to judge, what was said of it so far, and its number, or, of one without, the metric's highest so far.
Look = tuple[Cycle, AnnouncedClock | None, int]


def looks(
    clocks: Sequence[AnnouncedClock], cycles: Mapping[str, Sequence[Cycle]], since: int
) -> tuple[list[Look], list[AnnouncedClock]]:
    """The cycles to judge when nothing changed that happened before ``since``, and what was said of cycles that are no
    more (their ticket was split off, or a command undone)."""
    found: list[Look] = []
    gone: list[AnnouncedClock] = []
    by_metric: dict[str, list[AnnouncedClock]] = {}
    for clock in clocks:
        if (same := by_metric.get(clock.metric)) is None:
            by_metric[clock.metric] = [clock]
        else:
            same.append(clock)
    for metric, own in cycles.items():
        said = by_metric.pop(metric, _NOTHING)
        if len(own) == 1 and not said:
            found.append((own[0], None, 0))
            continue
        if len(own) == len(said) == 1 and (metric == "first_response" or said[0].begun_at in (own[0].at, 0)):
            found.append((own[0], said[0], said[0].cycle))
            continue
        known, left = _known_again(own, said)
        gone += left
        highest = max((clock.cycle for clock in said), default=0)
        newest = len(own) - KEPT
        for index, cycle in enumerate(own):
            if (stop := cycle.stop) is None or stop >= since or index >= newest:
                spoken = known.get(index)
                found.append((cycle, spoken, highest if spoken is None else spoken.cycle))
    if by_metric:
        gone += [clock for left in by_metric.values() for clock in left]
    return found, [clock for clock in gone if clock.outcome or clock.warned] if gone else gone


def _known_again(
    cycles: Sequence[Cycle], said: Sequence[AnnouncedClock]
) -> tuple[dict[int, AnnouncedClock], list[AnnouncedClock]]:
    """What was said of each cycle, by its place, and what was said of none of them."""
    if not said:
        return {}, []
    if len(said) <= len(cycles) and all(clock.begun_at == cycle.at for clock, cycle in zip(said, cycles, strict=False)):
        return dict(enumerate(said)), []  # nothing came late
    by_begin: dict[int, list[AnnouncedClock]] = {}
    for clock in said:
        by_begin.setdefault(clock.begun_at, []).append(clock)
    known: dict[int, AnnouncedClock] = {}
    for index, cycle in enumerate(cycles):
        if same := by_begin.get(cycle.at):
            known[index] = same.pop(0)
    if len(known) == len(said):
        return known, []
    left: list[AnnouncedClock] = []
    for clock in (each for same in by_begin.values() for each in same):
        index = bisect_right(cycles, clock.begun_at, key=_at) - 1
        if not clock.begun_at:  # said before it was kept when a cycle begins, when there was but one of a metric
            index = 0 if cycles else -1
        stop = cycles[index].stop if index >= 0 else 0
        if index >= 0 and index not in known and (not clock.begun_at or stop is None or clock.begun_at < stop):
            known[index] = clock
        else:
            left.append(clock)
    return known, left


def judged_again(
    cycle: Cycle, said: AnnouncedClock, history: History, bundle: Bundle, bundles: Mapping[int, Bundle], now: int
) -> Judged | None:
    """A cycle that ended keeps the version it was judged by, unless by that one it did not end after all."""
    found = judge(cycle, history, bundles.get(said.version, bundle), now)
    return found if found is not None and found.outcome else judge(cycle, history, bundle, now)


def said_of_none(clock: AnnouncedClock, history: History, bundle: Bundle) -> Judged | None:
    """The last word on a cycle that is no more. None if no policy tells its terms any more."""
    moment = history.moments[-1]
    last = moment.attributes
    policies = [bundle.policy_for(last), *bundle.policies]
    policy = next((each for each in policies if each is not None and clock.metric in each.targets), None)
    if policy is None:
        return None
    durations = policy.targets[clock.metric].durations
    target = durations.get(last.priority) or max(durations.values())
    at, by = clock.begun_at, moment.by
    return Judged(
        metric=clock.metric,
        cycle=clock.cycle,
        outcome="",
        state="cancelled",
        policy=policy,
        bundle=bundle,
        target=target,
        elapsed=0,
        started_at=at,
        started_by=by,
        pieces=[(at, at, 0, moment, by, False, policy, target)],  # it lasted no time
        ended_at=at,
    )


def withdrawn(clock: AnnouncedClock) -> tuple[str, int | None, int]:
    """What is said of a cycle that is no more; ``clock`` is brought up to it. Its number is not given out again."""
    said = ("retracted" if clock.outcome else "cancelled", None, clock.episode)
    clock.episode += 1
    clock.outcome, clock.version, clock.warned, clock.ended = "", 0, [], False
    return said


def differences(judged: Judged, clock: AnnouncedClock) -> list[tuple[str, int | None, int]]:
    """What has to be said of a clock now: (outcome, threshold of a warning, episode); ``clock`` is brought up to it.

    Of several warnings reached at once the last one is said. A warning that is no longer true (the due moved later) may
    come again, in a new episode.
    """
    found: list[tuple[str, int | None, int]] = []
    if clock.outcome and clock.outcome != judged.outcome:
        found.append(("retracted", None, clock.episode))
        clock.episode += 1
        clock.outcome, clock.version = "", 0
        clock.warned = []
        clock.ended = False
    if not clock.outcome and judged.outcome:
        clock.outcome, clock.version = judged.outcome, judged.bundle.version
        found.append((judged.outcome, None, clock.episode))
    if clock.outcome == "breached" and clock.ended != (judged.ended_at is not None):
        clock.ended = judged.ended_at is not None
        if clock.ended:
            found.append(("ended", None, clock.episode))
    passed = judged.passed
    if not judged.outcome and judged.state == "running" and (clock.warned or passed):
        if any(threshold not in passed for threshold in clock.warned):
            clock.warned = [threshold for threshold in clock.warned if threshold in passed]
            clock.episode += 1
        if passed and passed[-1] not in clock.warned:
            found.append(("warned", passed[-1], clock.episode))
        if len(clock.warned) < len(passed):
            clock.warned = sorted(passed)
    if not clock.begun_at:
        clock.begun_at = judged.started_at
    return found
