"""What holds of every clock whatever happens: on stories made by chance, in any order of arrival, told at any time."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.announced import differences
from domain.policies import METRICS
from domain.sla import evidence
from schemas.records import Actor, InteractionReceived, SlaVerdictIssued
from tests.domain.clocks import BOT, CUSTOMER, MAIL, OWN, VENDOR, Hub, arrived, verdicts
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, START, command, event

END = 3 * 24 * 60
DESK = Actor("agent", id="d-1", team="desk", organisation="own")

_customer = st.sampled_from(["email.received", "message.received", "callback.requested", "social.posted"])
_agent = st.sampled_from(["email.sent", "message.sent", "callback.completed"])
_call = st.sampled_from(["call.queued", "call.answered", "call.abandoned", "call.ended", "call.voicemail_left"])
_chat = st.sampled_from(["chat.queued", "chat.transferred", "chat.accepted"])
_given = st.sampled_from(
    [
        {"organisation": "own", "team": "second-line"},
        {"organisation": "vendor-a", "team": "first-line"},
        {"team": "desk"},
        {"person": "v-2"},
    ]
)
_word = st.one_of(
    _customer.map(lambda kind: (kind, Actor("customer"), {})),
    st.tuples(_agent, st.sampled_from([VENDOR, OWN, BOT, Actor("agent")])).map(lambda made: (*made, {})),
    st.tuples(_call, st.sampled_from([VENDOR, Actor("customer")])).map(lambda made: (*made, {})),
    st.tuples(_chat, st.sampled_from([BOT, OWN])).map(lambda made: (*made, {})),
    st.sampled_from(["open", "pending", "on_hold", "resolved"]).map(
        lambda to: ("ticket.status_set", OWN, {"status": to})
    ),
    _given.map(lambda to: ("ticket.assigned", DESK, to)),
    st.sampled_from(["low", "normal", "urgent"]).map(lambda to: ("ticket.prioritised", OWN, {"priority": to})),
    st.sampled_from([VENDOR, OWN]).map(lambda actor: ("note.added", actor, {"comment": "hm"})),
)
_instants = st.one_of(st.integers(0, 48).map(lambda number: number * 30.0), st.floats(0, END - 1, allow_nan=False))
_stories = st.lists(st.tuples(_instants, _word), min_size=1, max_size=14)
_modes = st.sampled_from(["resume", "count_closed", "new_cycle"])
_calendars = st.sampled_from(["always", "office"])


def promises(calendar: str, mode: str) -> dict[str, object]:
    """Every metric promised, with another policy while the desk has it, which promises less."""
    targets = {metric: {"low": "20h", "normal": "3h", "urgent": "45m"} for metric in METRICS}
    strict = {"name": "all", "calendar": calendar, "targets": targets, "reopen": mode, "warnings": [50, 90, "20m"]}
    desk = {
        "name": "desk",
        "match": {"team": "desk"},
        "calendar": "always",
        "targets": {"resolution": "2h", "next_response": {"normal": "1h"}, "ownership": "1h"},
        "reopen": mode,
    }
    return {**AROUND_THE_CLOCK, "policies": [desk, strict]}


def events(story: list[tuple[float, tuple[str, Actor, dict[str, str]]]]) -> list[InteractionReceived]:
    made = [MAIL]
    for number, (minutes, (kind, actor, fields)) in enumerate(story):
        if fields:
            told = command(f"{number}", kind, minutes, MAIL.id, **fields)
        else:
            conversation = "call:1" if kind.startswith("call.") else "email:thread-1"
            told = event(f"{number}", kind, minutes, conversation=conversation, actor=actor)
        fields_of = {key: getattr(told, key) for key in told.__struct_fields__} | {"actor": actor, "sequence": number}
        made.append(InteractionReceived(**fields_of))
    return made


def standing(hub: Hub) -> Counter[tuple[str, str]]:
    """The outcomes that were said and not taken back, by metric."""
    (state,) = hub.work.customers.values()
    return Counter(
        (clock.metric, clock.outcome) for ticket in state.tickets for clock in ticket.clocks if clock.outcome
    )


def judged(hub: Hub) -> list[tuple[object, ...]]:
    """All clocks, without their numbers, which depend on when they were announced."""
    (state,) = hub.work.customers.values()
    _, found, _, _ = hub.work._judge(state, state.tickets[0])
    return sorted(
        (c.metric, c.started_at, c.state, c.outcome, c.ended_at or 0, c.elapsed, c.due_at or 0, c.target, c.passed)
        for c, _ in found
    )


def shown(hub: Hub) -> list[tuple[object, ...]]:
    """The clocks on the ticket, without what time that runs on would change."""
    return sorted((c.metric, c.started_at, c.state, c.ended_at or 0, c.due_at or 0) for c in hub.ticket().clocks)


@settings(max_examples=150, deadline=None)
@given(_stories, _modes, _calendars, st.randoms(use_true_random=False), st.lists(_instants, max_size=5))
def test_whatever_the_order_of_arrival_the_clocks_come_to_the_same(
    story: list[tuple[float, tuple[str, Actor, dict[str, str]]]],
    mode: str,
    calendar: str,
    chance: object,
    ticks: list[float],
) -> None:
    made = events(story)
    in_order, shuffled = Hub(promises(calendar, mode)), Hub(promises(calendar, mode))
    in_order.play(made[0], *(arrived(each, END) for each in made[1:]), float(END))
    later: list[InteractionReceived | float] = [arrived(each, END) for each in made[1:]]
    later += ticks
    chance.shuffle(later)  # type: ignore[attr-defined]  # hypothesis' Random has no public name
    shuffled.play(made[0], *later, float(END))
    assert judged(in_order) == judged(shuffled)
    assert shown(in_order) == shown(shuffled)
    assert standing(in_order) == standing(shuffled)


@settings(max_examples=150, deadline=None)
@given(_stories, _modes, _calendars, st.lists(_instants, max_size=5))
def test_a_verdict_adds_up_and_agrees_with_its_due(
    story: list[tuple[float, tuple[str, Actor, dict[str, str]]]], mode: str, calendar: str, ticks: list[float]
) -> None:
    hub = Hub(promises(calendar, mode))
    steps: list[tuple[float, InteractionReceived | float]] = [
        ((each.occurred_at - START) / MINUTE, each) for each in events(story)
    ]
    steps += [(tick, tick) for tick in ticks]
    hub.play(*(step for _, step in sorted(steps, key=lambda step: step[0])), float(END))
    for verdict in verdicts(hub.outputs):
        check(verdict)
    numbers = Counter((v.metric, v.cycle, v.revision) for v in verdicts(hub.outputs))
    assert set(numbers.values()) <= {1}
    assert len({v.id for v in verdicts(hub.outputs)}) == len(verdicts(hub.outputs))


def check(verdict: SlaVerdictIssued) -> None:
    intervals = verdict.evidence
    assert sum(each.counted for each in intervals) == verdict.elapsed
    assert verdict.elapsed >= 0
    if intervals:
        assert intervals[0].begin == verdict.started_at
    for before, after in pairwise(intervals):
        assert (before.end, before.ended_by) == (after.begin, after.began_by), (
            "no second without an owner, none with two"
        )
    for each in intervals:
        assert each.begin <= each.end
        assert each.running or each.counted == 0
        assert each.counted <= each.end - each.begin
    if verdict.outcome == "met":
        assert verdict.elapsed <= verdict.target
    if verdict.outcome == "breached":
        assert verdict.due_at is not None
        assert verdict.started_at <= verdict.due_at <= verdict.judged_at
    if verdict.outcome == "warned":
        assert verdict.due_at is None or verdict.due_at >= verdict.started_at


@settings(max_examples=150, deadline=None)
@given(_stories, _modes, st.randoms(use_true_random=False), st.lists(_instants, max_size=5))
def test_nothing_is_left_unsaid_though_only_what_may_have_changed_is_judged(
    story: list[tuple[float, tuple[str, Actor, dict[str, str]]]], mode: str, chance: object, ticks: list[float]
) -> None:
    hub = Hub(promises("always", mode))
    made = events(story)
    later: list[InteractionReceived | float] = [arrived(each, END) for each in made[1:]]
    later += ticks
    chance.shuffle(later)  # type: ignore[attr-defined]  # hypothesis' Random has no public name
    hub.play(made[0])
    for step in later:
        hub.play(step)
        state = hub.work.customers[CUSTOMER]
        for ticket in state.tickets:
            _, looked_at, gone, instant = hub.work._judge(state, ticket)
            assert instant == ticket.instant
            assert not gone
            for found, said in looked_at:
                assert said is not None or not found.outcome
                assert said is None or differences(found, deepcopy(said)) == []
                assert sum(each.counted for each in evidence(found)) == found.elapsed
            numbers = [(clock.metric, clock.cycle) for clock in ticket.clocks]
            assert len(set(numbers)) == len(numbers)
