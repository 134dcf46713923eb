"""When a clock begins and what ends it: the cycles of each metric, from a ticket's facts and what it was when.

A cycle is one question, such as "how long did this customer wait for an answer". Here is no time but that of facts:
what is counted, when it is due and what is breached is ``domain.sla``; which number a cycle bears, and what was said of
it, is ``domain.announced``. Metrics that no policy promises cost nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from domain.policies import Bundle
from domain.ticket_rules import FINISHED
from domain.tickets import ANSWERS, ASKS, History, Moment, answers, asks
from schemas.casework_state import Fact

WORK: Final = ("resolution", "agent_work", "total_resolution")
_WAITS: Final = frozenset({"next_response", "periodic_update"})
HOLDING: Final = frozenset({"acknowledgement", "ownership"})
CALLS: Final = frozenset({"call_answer", "callback"})
#: Whom a bot had, it gives to a person with one of these; with a command only if it gives the command itself.
HAND_OVERS: Final = frozenset({"chat.queued", "chat.transferred", "call.queued", "call.transferred"})
GIVEN: Final = frozenset({"ticket.assigned", "ticket.escalated"})
#: A caller who waited is gone after one of these, unanswered.
LEFT: Final = frozenset(
    {"call.abandoned", "call.ended", "call.voicemail_left", "call.self_served", "callback.requested"}
)
_LOST: Final = frozenset({"call.abandoned", "call.voicemail_left"})
_RINGS: Final = frozenset({"call.offered", "call.queued"})
_CALL_STEPS: Final = _RINGS | {"call.answered", "call.self_served", "call.ended"}
_MOVES: Final = HAND_OVERS | GIVEN | {"call.ended"}
_OPEN: Final = (None, "", "")

_at: Final = attrgetter("at")
_cycle: Final = tuple.__new__
"""Makes a cycle of all its fields at half the cost: two are made for each event, or hundreds for a long ticket."""


class Cycle(NamedTuple):
    """One cycle of a metric. ``stop`` is None while it is open; ``kind``: met or cancelled, as what ``stop`` ends it.

    ``counts_closed``: it runs while the ticket is resolved, too. ``call``: the waiting call whose queue and channel
    count in place of the ticket's.
    """

    metric: str
    at: int
    by: str
    stop: int | None = None
    stop_by: str = ""
    kind: str = ""
    counts_closed: bool = False
    call: Fact | None = None


def cycles_of(history: History, bundle: Bundle, wanted: AbstractSet[str]) -> dict[str, list[Cycle]]:
    """The cycles of the ``wanted`` metrics, each metric's in the order of their begin; a metric without any is absent.

    Of a ticket that was merged into another, what was open then is cancelled at that instant, and nothing begins after.
    """
    facts = history.facts if not history.since else _with_carried(history)
    once = history.resolved_at is None and history.closed_at is None and not history.reopened  # never finished so far
    turns = {} if once else _turns(history.moments)
    found: dict[str, list[Cycle]] = {}
    if "first_response" in wanted:
        _first_response(facts, turns, found)
    if not wanted.isdisjoint(_WAITS):
        _waits(facts, turns, wanted, found)
    if not wanted.isdisjoint(WORK):
        if once:
            rounds: list[_Round] = [(history.opened_at, history.opened_by, None, "", "", False)]
        else:
            rounds = _rounds(history.opened_at, history.opened_by, history.moments, bundle, None)
        for metric in WORK:
            if metric in wanted:
                found[metric] = [_cycle(Cycle, (metric, *each, None)) for each in rounds]
    if not wanted.isdisjoint(HOLDING):
        _holdings(history, bundle, wanted, found)
    if not wanted.isdisjoint(CALLS):
        _calls(facts, turns, wanted, found)
    if history.merged_at is not None:
        found = {metric: _cut_off(cycles, history, history.merged_at) for metric, cycles in found.items()}
    return found


def _with_carried(history: History) -> list[Fact]:
    """The facts that count for a ticket with others merged into it. What was told of another one before the merge is
    that one's own, but for what was unanswered then: it waits on here, and still since it was asked."""
    waiting: dict[str, Fact] = {}
    wishes: dict[str, Fact] = {}
    ringing: dict[str, Fact] = {}
    placed: list[tuple[int, int, int, Fact]] = []
    since, settled = history.since, history.settled
    for index, fact in enumerate(history.facts):
        kind, ticket = fact.type, fact.ticket
        if fact.at >= since.get(fact.id, fact.at):
            placed.append((fact.at, 1, index, fact))
            continue
        if fact.id in settled:
            continue
        if kind == "call.queued":
            ringing.setdefault(fact.conversation, fact)
        elif kind in LEFT or kind == "call.answered":
            ringing.pop(fact.conversation, None)
        if asks(fact):
            waiting.setdefault(ticket, fact)
            if kind == "callback.requested":
                wishes.setdefault(ticket, fact)
        elif answers(fact):
            waiting.pop(ticket, None)
            if kind == "callback.completed":
                wishes.pop(ticket, None)
    carried = {fact.id: fact for each in (waiting, wishes, ringing) for fact in each.values()}
    placed += [(since[fact.id], 0, fact.at, fact) for fact in carried.values()]
    placed.sort(key=itemgetter(0, 1, 2))
    return [fact for _, _, _, fact in placed]


def _cut_off(cycles: Iterable[Cycle], history: History, merged_at: int) -> list[Cycle]:
    by = history.merged_by or history.moments[-1].by
    return [
        cycle
        if cycle.stop is not None and cycle.stop <= merged_at and cycle.stop_by != by
        else cycle._replace(stop=merged_at, stop_by=by, kind="cancelled")
        for cycle in cycles
        if cycle.at <= merged_at
    ]


def _turns(moments: Sequence[Moment]) -> dict[str, bool]:
    """The facts that finished the ticket (True) and that opened it again (False)."""
    turns: dict[str, bool] = {}
    finished = False
    for moment in moments:
        if (moment.status in FINISHED) is not finished:
            finished = not finished
            turns[moment.by] = finished
    return turns


def _answered_at_once(answer: Fact | None, ask: Fact) -> bool:
    """Whether an answer that stopped nothing came at the instant of the question, and not before it at its source."""
    return answer is not None and answer.at == ask.at and not 0 <= answer.sequence < ask.sequence


def _rang_out(fact: Fact, ringing: set[str]) -> bool:
    """Whether a call ended that waited for a person and reached none, nor was settled by the voice menu."""
    if fact.type in _RINGS:
        if fact.direction == "inbound":
            ringing.add(fact.conversation)
    elif fact.conversation in ringing:
        ringing.discard(fact.conversation)
        return fact.type == "call.ended"
    return False


def _first_response(facts: Sequence[Fact], turns: Mapping[str, bool], found: dict[str, list[Cycle]]) -> None:
    """The first question of a ticket until it is answered, and cancelled while the ticket is finished without.

    It begins at the hand-over if a bot had it (the first one, so that nobody can begin it anew), and at the call's end
    if it is a call that no one answered.
    """
    ask: Fact | None = None
    idle: Fact | None = None
    at, by = 0, ""
    end: tuple[int | None, str, str] = _OPEN
    bot = moved = finished = False
    ringing: set[str] = set()
    for fact in facts:
        kind = fact.type
        if turns and (turn := turns.get(fact.id)) is not None:
            finished = turn
            end = (fact.at, fact.id, "cancelled") if turn and ask is not None else _OPEN
        if kind in ASKS:
            is_ask = asks(fact)
            if ringing:
                ringing.discard(fact.conversation)
        elif kind in ANSWERS and answers(fact):
            if ringing:
                ringing.discard(fact.conversation)
            if ask is None:
                idle = fact
                continue
            if end[0] is None or end[0] == fact.at:  # else it was given up before, and an answer comes after all
                end = (fact.at, fact.id, "met")
            break
        else:
            is_ask = kind in _CALL_STEPS and _rang_out(fact, ringing)
            if fact.actor == "bot" and kind in ANSWERS:
                bot = True
        if is_ask and not finished and (ask is None or fact.at < at):
            ask, at, by = fact, fact.at, fact.id
            if _answered_at_once(idle, fact):
                end = (fact.at, fact.id, "met")
                break
        elif ask is not None and not moved and not finished and kind in _MOVES:
            if kind == "call.ended":
                moved = ask.type in _LOST and ask.conversation == fact.conversation
            else:
                moved = bot and (kind in HAND_OVERS or fact.actor in ("bot", "system"))
            if moved:
                at, by = fact.at, fact.id
    if ask is not None:
        found["first_response"] = [_cycle(Cycle, ("first_response", at, by, *end, False, None))]


def _waits(
    facts: Sequence[Fact], turns: Mapping[str, bool], wanted: AbstractSet[str], found: dict[str, list[Cycle]]
) -> None:
    """Next responses and periodic updates.

    A wait that was given up when the ticket was resolved goes on if that is taken back by hand; if the customer turns
    to the company again, that is the next question. Updates begin with the first public message after a reopening.
    """
    nexts: list[Cycle] = []
    updates: list[Cycle] = []
    waiting: Fact | None = None
    given_up: Fact | None = None
    updated: Fact | None = None
    idle: Fact | None = None
    ringing: set[str] = set()
    finished = False
    for fact in facts:
        kind = fact.type
        if kind in ASKS:
            is_ask = asks(fact)
            if ringing:
                ringing.discard(fact.conversation)
        else:
            is_ask = kind in _CALL_STEPS and _rang_out(fact, ringing)
        if turns and (turn := turns.get(fact.id)) is not None:
            finished = turn
            if turn:
                if waiting is not None:
                    nexts.append(Cycle("next_response", waiting.at, waiting.id, fact.at, fact.id, "cancelled"))
                    given_up = waiting
                    waiting = None
                if updated is not None:
                    if fact.at > updated.at:
                        updates.append(Cycle("periodic_update", updated.at, updated.id, fact.at, fact.id, "cancelled"))
                    updated = None
            else:
                if given_up is not None and not is_ask:
                    nexts.pop()
                    waiting = given_up
                given_up = None
        if is_ask:
            if not finished and (waiting is None or fact.at < waiting.at):
                if _answered_at_once(idle, fact):
                    nexts.append(Cycle("next_response", fact.at, fact.id, fact.at, fact.id, "met"))
                else:
                    waiting = fact
            idle = None
        elif kind in ANSWERS and answers(fact):
            idle = fact if waiting is None else None
            if waiting is not None:
                made = ("next_response", waiting.at, waiting.id, fact.at, fact.id, "met", False, None)
                nexts.append(_cycle(Cycle, made))
                waiting = None
            elif given_up is not None:
                if nexts[-1].stop == fact.at:
                    nexts[-1] = nexts[-1]._replace(stop_by=fact.id, kind="met")
                given_up = None
            if not finished and (updated is None or fact.at > updated.at):
                if updated is not None:
                    made = ("periodic_update", updated.at, updated.id, fact.at, fact.id, "met", False, None)
                    updates.append(_cycle(Cycle, made))
                updated = fact
    if waiting is not None:
        nexts.append(Cycle("next_response", waiting.at, waiting.id))
    if updated is not None:
        updates.append(Cycle("periodic_update", updated.at, updated.id))
    if nexts and "next_response" in wanted:
        found["next_response"] = sorted(nexts, key=_at)  # one that a merged ticket brought may be older than another
    if updates and "periodic_update" in wanted:
        found["periodic_update"] = updates


_Round = tuple[int, str, int | None, str, str, bool]


def _rounds(at: int, by: str, moments: Sequence[Moment], bundle: Bundle, end: Moment | None) -> list[_Round]:
    """From an instant until the ticket is finished, or ``end``: one round, or several under a policy that begins a new
    cycle when a ticket is reopened. As the fields of ``Cycle`` behind ``metric``."""
    rounds: list[_Round] = []
    finish: Moment | None = None
    counts_closed = False
    for moment in moments:
        if moment.status in FINISHED:
            if finish is None:
                finish = moment
        elif finish is not None:
            policy = bundle.policy_for(moment.attributes)
            if policy is not None and policy.reopen == "new_cycle":
                rounds.append((at, by, finish.at, finish.by, "met", counts_closed))
                at, by, counts_closed = moment.at, moment.by, False
            elif policy is not None and policy.reopen == "count_closed":
                counts_closed = True
            finish = None
    finish = finish or end
    if finish is None:
        rounds.append((at, by, None, "", "", counts_closed))
    else:
        rounds.append((at, by, finish.at, finish.by, "met", counts_closed))
    return rounds


def _holdings(history: History, bundle: Bundle, wanted: AbstractSet[str], found: dict[str, list[Cycle]]) -> None:
    """Each stretch in which one team or organisation holds the ticket, and how long it took to take it on."""
    moments = history.moments
    owned: list[Cycle] = []
    taken: list[Cycle] = []
    begin = 0
    for index in range(1, len(moments) + 1):
        told = moments[begin].attributes
        end = moments[index] if index < len(moments) else None
        if end is not None:
            other = end.attributes
            if (other.organisation, other.team) == (told.organisation, told.team):
                continue
        held, begin = moments[begin:index], index
        if told.organisation is None and told.team is None:
            continue
        while held and held[0].status in FINISHED:  # nothing is to be done on it before it is open again
            held = held[1:]
        if held and held[0].at < history.opened_at:  # a call waited before the ticket was opened
            held = [held[0]._replace(at=history.opened_at, by=history.opened_by), *held[1:]]
        if not held or (end is not None and end.at <= held[0].at):
            continue
        if "ownership" in wanted:
            owned += [Cycle("ownership", *each) for each in _rounds(held[0].at, held[0].by, held, bundle, end)]
        if "acknowledgement" in wanted:
            taken.append(_acknowledged(history.facts, held, end))
    found |= {metric: cycles for metric, cycles in (("ownership", owned), ("acknowledgement", taken)) if cycles}


def _acknowledged(facts: Sequence[Fact], held: Sequence[Moment], end: Moment | None) -> Cycle:
    """Until its assignee accepts it, acts on it, or hands it on."""
    start = held[0]
    first = bisect_left(facts, start.at, key=_at)
    while first < len(facts) and facts[first].at == start.at and facts[first].id != start.by:
        first += 1
    stop: tuple[int | None, str, str] = (None, "", "")
    if held[-1].status in FINISHED:
        finish = held[-1]
        for moment in reversed(held):
            if moment.status not in FINISHED:
                break
            finish = moment
        stop = (finish.at, finish.by, "cancelled")
    elif end is not None:
        stop = (end.at, end.by, "met")
    for fact in facts[first:]:
        if end is not None and fact.at >= end.at:
            break
        if fact.type == "ticket.accepted" or _acts(fact, held):
            stop = (fact.at, fact.id, "met")
            break
    return Cycle("acknowledgement", start.at, start.by, *stop)


def _acts(fact: Fact, held: Sequence[Moment]) -> bool:
    """Whether this is an action of who holds the ticket. Who names no team or organisation acts for the holder only
    when turning to the customer, since nobody else is known to."""
    if fact.automatic or fact.actor not in ("agent", ""):
        return False
    told = held[0].attributes
    if fact.team is None and fact.organisation is None:
        if fact.person is not None and any(moment.person == fact.person for moment in held):
            return True
        return answers(fact)
    if fact.team is not None and told.team is not None and fact.team != told.team:
        return False
    if fact.organisation is not None and told.organisation is not None and fact.organisation != told.organisation:
        return False
    return (fact.team is not None and told.team is not None) or (
        fact.organisation is not None and told.organisation is not None
    )


def _calls(
    facts: Sequence[Fact], turns: Mapping[str, bool], wanted: AbstractSet[str], found: dict[str, list[Cycle]]
) -> None:
    """How long each waiting call waited for a person, and each wish to be called back for the call."""
    waits: list[Cycle] = []
    backs: list[Cycle] = []
    waiting: dict[str, Fact] = {}
    ended: dict[str, Fact] = {}
    wish: Fact | None = None
    completed: Fact | None = None
    for fact in facts:
        kind = fact.type
        if turns and turns.get(fact.id):
            waits += [_call(each, fact, "cancelled") for each in waiting.values()]
            waiting.clear()
            if wish is not None:
                backs.append(Cycle("callback", wish.at, wish.id, fact.at, fact.id, "cancelled"))
                wish = None
        if kind == "call.queued" and fact.direction == "inbound":
            if fact.conversation in waiting:
                continue
            end = ended.get(fact.conversation)
            if end is None or not _answered_at_once(end, fact):
                waiting[fact.conversation] = fact
            elif end.type == "call.answered":
                waits.append(_call(fact, end, "met"))
        elif kind in LEFT or (kind == "call.answered" and answers(fact)):
            ask = waiting.pop(fact.conversation, None)
            if ask is None:
                ended[fact.conversation] = fact
            else:
                waits.append(_call(ask, fact, "met" if kind == "call.answered" else "cancelled"))
        if kind == "callback.requested" and wish is None and asks(fact):
            if _answered_at_once(completed, fact):
                backs.append(Cycle("callback", fact.at, fact.id, fact.at, fact.id, "met"))
            else:
                wish = fact
        elif kind == "callback.completed" and answers(fact):
            if wish is None:
                completed = fact
            else:
                backs.append(Cycle("callback", wish.at, wish.id, fact.at, fact.id, "met"))
                wish = None
    waits += [_call(each, None, "") for each in waiting.values()]
    if wish is not None:
        backs.append(Cycle("callback", wish.at, wish.id))
    if waits and "call_answer" in wanted:
        found["call_answer"] = sorted(waits, key=_at)
    if backs and "callback" in wanted:
        found["callback"] = backs


def _call(ask: Fact, end: Fact | None, kind: str) -> Cycle:
    """A call waits whatever the status of its ticket is."""
    stop, stop_by = (end.at, end.id) if end is not None else (None, "")
    return Cycle("call_answer", ask.at, ask.id, stop, stop_by, kind, True, ask)
