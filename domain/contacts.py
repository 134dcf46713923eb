"""What a call or chat was: in which queues it waited, who answered it, for how long, and how each part of it ended.

A conversation is measured whole from its timeline entries, sorted by their instants; so the order of arrival can't
change a figure, and a doubled entry counts once. It is a row of *turns*: the time in one queue and the talk that came
of it. A transfer, another queue or a call back begins the next. Vendors differ in what they tell: a duration is taken
from the instants of events, and from the vendor's own sums only where these are missing; each turn says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from domain.repeats import NOBODY, Owner
from schemas.records import TimelineEntryAdded

#: Begin of the names of all event types that concern a call or chat.
FAMILIES = ("call.", "chat.", "callback.")
Began = Literal["offered", "transferred", "moved", "called_back"]
Outcome = Literal["waiting", "answered", "abandoned", "called_back", "left", "unanswered"]
#: Events of one instant, in the order in which they can have come about; what stands here is what is measured.
_STEPS: dict[str, tuple[int, str]] = {
    "call.offered": (0, "offered"),
    "chat.started": (0, "offered"),
    "callback.requested": (1, "called_back"),
    "call.transferred": (2, "transferred"),
    "chat.transferred": (2, "transferred"),
    "call.queued": (3, "queued"),
    "chat.queued": (3, "queued"),
    "call.ringing": (4, "ringing"),
    "call.answered": (5, "answered"),
    "chat.accepted": (5, "answered"),
    "callback.attempted": (5, "answered"),
    "call.held": (6, "held"),
    "call.resumed": (7, "resumed"),
    "call.abandoned": (8, "abandoned"),
    "chat.abandoned": (8, "abandoned"),
    "callback.completed": (9, "reached"),
    "call.ended": (10, "ended"),
    "chat.ended": (10, "ended"),
    "call.wrapped_up": (11, "wrapped_up"),
}


@dataclass(frozen=True, slots=True)
class Contact:
    """One turn of a conversation; ``number`` counts them from 1. Instants and durations are microseconds.

    ``began``: by what it is the next one; with ``offered`` a customer's contact begins, all others are its further
    turns. ``first``: the number of the turn with which its contact began.
    ``outcome``: waiting (not over yet), answered, abandoned, called_back (a call back was asked for instead of
    waiting), left (the queue was left another way), unanswered (never in a queue, and nobody answered).
    ``customer``: of the conversation's first entry. ``owner`` answered it; ``transferred``: the owner passed it on, to
    ``handed_to`` if that is known. Durations are None where nothing tells them. ``by_vendor``: which come from the
    vendor's own sums.
    """

    number: int
    first: int
    began: Began
    offered_at: int
    outcome: Outcome
    channel: str
    direction: str
    customer: str
    queue: str | None = None
    queued_at: int | None = None
    answered_at: int | None = None
    ended_at: int | None = None
    waited: int | None = None
    talked: int | None = None
    held: int | None = None
    wrapped_up: int | None = None
    owner: Owner = NOBODY
    transferred: bool = False
    handed_to: Owner = NOBODY
    about: str | None = None
    ticket: str | None = None
    by_vendor: tuple[str, ...] = ()


@dataclass(slots=True)
class _Turn:
    """A turn while it is measured. ``over_at``, ``over``: when and how the waiting ended without an answer."""

    began: Began
    at: int
    channel: str
    direction: str
    legs: set[str] = field(default_factory=set)
    queue: str | None = None
    queued_at: int | None = None
    answered_at: int | None = None
    over_at: int | None = None
    over: Outcome = "left"
    passed_at: int | None = None
    ended_at: int | None = None
    wrapped_at: int | None = None
    owner: Owner = NOBODY
    holding: set[str] = field(default_factory=set)
    held_since: int = 0
    held: int | None = None
    sums: dict[str, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be answered in it."""
        return self.over_at is not None or self.ended_at is not None

    def stop_waiting(self, at: int, how: Outcome) -> None:
        """The waiting ended without an answer; the first such end counts."""
        if self.answered_at is None and self.over_at is None:
            self.over_at, self.over = at, how


class _Told(NamedTuple):
    """What the whole conversation tells of each of its turns."""

    customer: str
    about: str | None
    ticket: str | None


def concerns(event_type: str) -> bool:
    """Whether an event of this type is part of a call or chat."""
    return event_type.startswith(FAMILIES)


def measure(entries: Iterable[TimelineEntryAdded]) -> list[Contact]:
    """The turns of one conversation from its timeline entries, in whatever order they come; none if it is no call or
    chat."""
    known = {entry.id: entry for entry in entries if entry.type in _STEPS}
    ordered = sorted(known.values(), key=lambda entry: (_at(entry), _STEPS[entry.type][0], entry.id))
    turns: list[_Turn] = []
    for entry in ordered:
        _take(turns, entry)
    about = next((entry.about for entry in ordered if entry.about), None)
    ticket = next((entry.ticket for entry in ordered if entry.ticket), None)
    told = _Told(ordered[0].customer, about, ticket) if ordered else _Told("", None, None)
    return [_contact(turns, index, told) for index in range(len(turns))]


def _at(entry: TimelineEntryAdded) -> int:
    return min(entry.occurred_at, entry.received_at)  # as for promises: nothing happened after it was received


def _begin(turns: list[_Turn], began: Began, entry: TimelineEntryAdded) -> _Turn:
    turns.append(_Turn(began, _at(entry), entry.channel, entry.direction))
    return turns[-1]


def _take(turns: list[_Turn], entry: TimelineEntryAdded) -> None:
    """Let one entry, the next in time, have its effect on the turn it belongs to."""
    at, step, call = _at(entry), _STEPS[entry.type][1], entry.call
    leg = (call.leg if call else None) or ""
    is_first = not turns
    turn = _turn_of(turns, leg, step, entry)
    match step:
        case "offered":
            if turn.is_over:
                turn = _begin(turns, "offered", entry)
        case "called_back" | "transferred":
            if not is_first:
                before = turns[-1]
                before.stop_waiting(at, "called_back" if step == "called_back" else "left")
                if step == "transferred" and before.answered_at is not None and before.passed_at is None:
                    before.passed_at = at
                turn = _begin(turns, "called_back" if step == "called_back" else "transferred", entry)
                turn.legs |= set() if leg else before.legs
        case "queued":
            if turn.queued_at is not None or turn.answered_at is not None or turn.is_over:
                turn.stop_waiting(at, "left")
                turn = _begin(turns, "moved", entry)
            turn.queued_at = at
        case "answered":
            _answer(turn, at, entry)
        case "held":
            turn.held_since = turn.held_since if turn.holding else at
            turn.holding.add(leg)
        case "resumed":
            _resume(turn, leg, at)
        case "abandoned":
            turn.stop_waiting(at, "abandoned")
            if turn.answered_at is not None:
                turn.ended_at = at
        case "reached":
            _answer(turn, at, entry)
            turn.ended_at = max(at, turn.ended_at or at)
        case "ended":
            turn.ended_at = max(at, turn.ended_at or at)
        case "wrapped_up":
            turn.wrapped_at = max(at, turn.wrapped_at or at)
    if step not in ("held", "resumed", "wrapped_up") and leg:
        turn.legs.add(leg)
    if call is not None and step != "transferred":  # what that tells may be of either side of it
        if turn.queue is None:
            turn.queue = call.queue
        for name in ("waited", "talked", "held"):
            told = getattr(call, name)
            if told is not None:
                turn.sums[name] = told
    if step in ("answered", "reached", "wrapped_up", "ended") and turn.owner == NOBODY:
        turn.owner = _person(entry)


def _turn_of(turns: list[_Turn], leg: str, step: str, entry: TimelineEntryAdded) -> _Turn:
    """The turn an entry belongs to: the last with its leg, else the last; a person's work, the last that he answered.

    A vendor may make a new leg for each turn, or tell all of them of the caller's own; and the end of one agent's part
    may come when the next has long begun.
    """
    if not turns:
        return _begin(turns, "offered", entry)
    if step in ("held", "resumed", "wrapped_up"):
        served = [turn for turn in turns if turn.answered_at is not None]
        who = _person(entry)
        his = [turn for turn in served if who.person is not None and turn.owner.person == who.person]
        of_leg = [turn for turn in served if leg in turn.legs]
        return (his or of_leg or served or turns)[-1]
    return next((turn for turn in reversed(turns) if leg in turn.legs), turns[-1])


def _person(entry: TimelineEntryAdded) -> Owner:
    actor = entry.actor
    return Owner(actor.organisation, actor.team, actor.id) if actor is not None and actor.kind == "agent" else NOBODY


def _answer(turn: _Turn, at: int, entry: TimelineEntryAdded) -> None:
    if turn.answered_at is None and turn.over_at is None:
        turn.answered_at, turn.owner = at, _person(entry)


def _resume(turn: _Turn, leg: str, at: int) -> None:
    if leg in turn.holding:
        turn.holding.discard(leg)
        if not turn.holding:
            turn.held = (turn.held or 0) + at - turn.held_since


def _contact(turns: Sequence[_Turn], index: int, told: _Told) -> Contact:
    turn = turns[index]
    following = turns[index + 1] if index + 1 < len(turns) else None
    by_vendor: list[str] = []
    answered_at = turn.answered_at
    if answered_at is None and turn.over_at is None and turn.sums.get("talked"):  # the answer itself was not told
        told_by = turn.ended_at or turn.wrapped_at
        answered_at = told_by - turn.sums["talked"] if told_by is not None else None
        by_vendor += ["answered_at"] if answered_at is not None else []
    stopped = answered_at if answered_at is not None else turn.over_at if turn.over_at is not None else turn.ended_at
    queued_at, waited = turn.queued_at, None
    if queued_at is not None and stopped is not None:
        waited = max(0, stopped - queued_at)
    elif turn.queue is not None and stopped is not None and "waited" in turn.sums:
        waited = turn.sums["waited"]
        queued_at = stopped - waited
        by_vendor.append("waited")
    end = _end(turn, following) if answered_at is not None else stopped
    talked = held = wrapped = None
    if answered_at is not None:
        talked, held, wrapped = _worked(turn, answered_at, end, by_vendor)
    return Contact(
        number=index + 1,
        first=1 + next((n for n in range(index, 0, -1) if turns[n].began == "offered"), 0),
        began=turn.began,
        offered_at=turn.at,
        outcome=_outcome(turn, answered_at),
        channel=turn.channel,
        direction=turn.direction,
        customer=told.customer,
        queue=turn.queue,
        queued_at=queued_at,
        answered_at=answered_at,
        ended_at=end,
        waited=waited,
        talked=talked,
        held=held,
        wrapped_up=wrapped,
        owner=turn.owner if answered_at is not None else NOBODY,
        transferred=turn.passed_at is not None,
        handed_to=following.owner if following is not None and turn.passed_at is not None else NOBODY,
        about=told.about,
        ticket=told.ticket,
        by_vendor=tuple(by_vendor),
    )


def _outcome(turn: _Turn, answered_at: int | None) -> Outcome:
    if answered_at is not None:
        return "answered"
    if turn.over_at is not None and turn.over != "left":
        return turn.over
    if not turn.is_over:
        return "waiting"
    return "unanswered" if turn.queue is None else "left"


def _end(turn: _Turn, following: _Turn | None) -> int | None:
    """When the agent's part ended: with its own leg, when it was passed on or the next turn began; where a source tells
    the end of the agent's part, as Asterisk does, no later than that."""
    end = turn.ended_at
    if end is None:
        end = turn.passed_at if turn.passed_at is not None else following.at if following is not None else None
    return turn.wrapped_at if end is not None and turn.wrapped_at is not None and turn.wrapped_at < end else end


def _worked(
    turn: _Turn, answered_at: int, end: int | None, by_vendor: list[str]
) -> tuple[int | None, int | None, int | None]:
    """Talk without hold, hold, and wrap-up."""
    held = turn.held
    if turn.holding and end is not None:
        held = (held or 0) + max(0, end - turn.held_since)
    if held is None and "held" in turn.sums:
        held = turn.sums["held"]
        by_vendor.append("held")
    if end is None:
        if "talked" not in turn.sums:
            return None, held, None
        by_vendor.append("talked")
        return max(0, turn.sums["talked"] - (held or 0)), held, None
    whole = max(0, end - answered_at)
    wrapped = turn.wrapped_at - end if turn.wrapped_at is not None and turn.wrapped_at > end else None
    return whole - min(held or 0, whole), None if held is None else min(held, whole), wrapped
