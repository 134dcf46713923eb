"""What another bundle would change of the promises on open tickets, by the read model: ``hub policy apply --dry-run``.

An open ticket takes a new bundle at its next event; this tells what its clocks would show if that came now. The time
used so far is taken from the due that was published; where a clock stood still and the calendar changes, or where it
stands still now, that does not tell everything, and the due is approximate or left open.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterable, Mapping, Sequence
from itertools import count

import msgspec

from domain.business_time import Calendar
from domain.errors import DurationInvalid
from domain.policies import Attributes, Bundle, Policy
from projections.configurations.store import OpenClock, OpenTicket

_OPEN = frozenset({"running", "paused"})
NONE = "no policy"


class Shift(msgspec.Struct, frozen=True):
    """One clock of an open ticket, now and as it would be; targets and instants in microseconds.

    ``what``: other (target, due or rules), new (promised for the first time), or dropped (promised no more).
    """

    ticket: str
    metric: str
    what: str
    policy_before: str | None
    policy_after: str | None
    target_before: int | None
    target_after: int | None
    due_before: int | None
    due_after: int | None
    overdue: bool = False
    approximate: bool = False


class Count(msgspec.Struct):
    """What would change under one policy of the new bundle. ``tickets``: open ones it would hold for; ``moved``: those
    of them that another policy holds for now; the rest are clocks."""

    tickets: int = 0
    moved: int = 0
    longer: int = 0
    shorter: int = 0
    earlier: int = 0
    later: int = 0
    new: int = 0
    dropped: int = 0
    overdue: int = 0


class Preview(msgspec.Struct):
    """``tickets``: open ones that were looked at; ``unchanged``: those of which nothing would change."""

    tickets: int
    unchanged: int
    policies: dict[str, Count]
    examples: list[Shift]


async def preview(
    pages: AsyncIterable[Sequence[OpenTicket]],
    tenant: str,
    before: Bundle,
    after: Bundle,
    versions: Mapping[int, Bundle],
    now: int,
    examples: int,
) -> Preview:
    """``before``: the bundle in force; ``versions``: those that clocks were judged by, as far as they are known."""
    found = Preview(0, 0, {policy.name: Count() for policy in after.policies}, [])
    shown: list[tuple[tuple[bool, int], int, Shift]] = []
    number = count()
    async for page in pages:
        for ticket in page:
            found.tickets += 1
            attributes = _attributes(ticket, tenant)
            policy, was = after.policy_for(attributes), before.policy_for(attributes)
            tally = found.policies.setdefault(policy.name if policy else NONE, Count())
            tally.tickets += 1
            tally.moved += (policy.name if policy else None) != (was.name if was else None)
            shifts = list(_shifts(ticket, policy, after, before, versions, now))
            found.unchanged += not shifts
            for shift in shifts:
                _add(tally, shift)
                due = shift.due_after if shift.due_after is not None else 1 << 62
                entry = ((shift.overdue, -due), -next(number), shift)
                heapq.heappush(shown, entry) if len(shown) < examples else heapq.heappushpop(shown, entry)
    found.examples = [shift for _, _, shift in sorted(shown, reverse=True)] if examples else []
    return found


def _attributes(ticket: OpenTicket, tenant: str) -> Attributes:
    return Attributes(
        tenant,
        ticket.channel,
        ticket.priority,
        ticket.source or "",
        ticket.team,
        ticket.organisation,
        ticket.queue,
        ticket.tier,
        ticket.about,
    )


def _shifts(
    ticket: OpenTicket,
    policy: Policy | None,
    after: Bundle,
    before: Bundle,
    versions: Mapping[int, Bundle],
    now: int,
) -> list[Shift]:
    found: list[Shift] = []
    for clock in ticket.clocks:
        if clock.state in _OPEN:
            shift = _shift(ticket, clock, policy, after, versions.get(clock.policy_version, before), now)
            if shift is not None:
                found.append(shift)
    known = {clock.metric for clock in ticket.clocks}
    for metric, target in policy.targets.items() if policy else ():
        promised = target.durations.get(ticket.priority)
        # A clock that did not begin has no row; only of those that no policy promised so far it is sure to be new.
        old = before.policy_for(_attributes(ticket, ""))
        if promised is not None and metric not in known and not (old and metric in old.targets):
            name = policy.name if policy else None
            found.append(Shift(ticket.id, metric, "new", None, name, None, promised, None, None))
    return found


def _shift(
    ticket: OpenTicket, clock: OpenClock, policy: Policy | None, after: Bundle, judged_by: Bundle, now: int
) -> Shift | None:
    target = policy.targets.get(clock.metric) if policy else None
    promised = target.durations.get(ticket.priority) if target else None
    if policy is None or target is None or promised is None:
        return Shift(ticket.id, clock.metric, "dropped", clock.policy, None, clock.target, None, clock.due_at, None)
    old = next((each for each in judged_by.policies if each.name == clock.policy), None)
    was = judged_by.calendars[old.calendar] if old else None
    calendar = after.calendars[policy.calendar]
    due, approximate = clock.due_at, was is None
    same_rules = old is not None and was == calendar and old.boundary == policy.boundary
    if clock.due_at is not None and not (same_rules and promised == clock.target):
        due, approximate = _due(ticket, clock, promised, was, calendar, policy)
    same_pauses = old is not None and clock.metric in old.targets and old.targets[clock.metric].pauses == target.pauses
    if promised == clock.target and due == clock.due_at and same_pauses:
        return None
    return Shift(
        ticket.id,
        clock.metric,
        "other",
        clock.policy,
        policy.name,
        clock.target,
        promised,
        clock.due_at,
        due,
        due is not None and due < now,
        approximate,
    )


def _due(
    ticket: OpenTicket, clock: OpenClock, promised: int, was: Calendar | None, calendar: Calendar, policy: Policy
) -> tuple[int | None, bool]:
    """When a running clock would be due, and whether that is approximate."""
    assert clock.due_at is not None
    since = max(ticket.changed_at, clock.started_at)
    try:
        used = clock.target - (was or calendar).between_us(since, clock.due_at)
        approximate = was is None
        if was is not None and was != calendar:
            # Never having stood still is seen from the used time: then all of it can be counted anew.
            approximate = was.between_us(clock.started_at, since) != used
            used = used if approximate else calendar.between_us(clock.started_at, since)
        left = promised - used
        return (calendar.add_us(since, left, policy.boundary) if left >= 0 else since), approximate
    except DurationInvalid:
        return None, True


def _add(tally: Count, shift: Shift) -> None:
    tally.new += shift.what == "new"
    tally.dropped += shift.what == "dropped"
    if shift.target_before is not None and shift.target_after is not None:
        tally.longer += shift.target_after > shift.target_before
        tally.shorter += shift.target_after < shift.target_before
    if shift.due_before is not None and shift.due_after is not None:
        tally.earlier += shift.due_after < shift.due_before
        tally.later += shift.due_after > shift.due_before
    tally.overdue += shift.overdue and (shift.due_before is None or shift.due_after != shift.due_before)
