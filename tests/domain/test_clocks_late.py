"""Late events, retractions and merges: a cycle keeps its number, and what was said of it is never said of another."""

from __future__ import annotations

from domain.casework import Casework
from domain.cycles import cycles_of
from domain.policies import METRICS
from domain.tickets import History, history, order
from schemas.casework_state import Fact, pack, unpack
from tests.domain.clocks import CUSTOMER, MAIL, Hub, mail, policy, reply, status, verdicts
from tests.domain.stories import MINUTE, START, bundle, command

DAY = 24 * 60


def test_a_late_answer_splits_a_wait_and_its_breach_is_taken_back() -> None:
    hub = Hub(policy(next_response="1h", warnings=[]))
    assert [t.outcome for t in hub.told(MAIL, mail("again", 40), 61)] == ["breached"]
    told = hub.told(reply("was there", 20, received=70))
    assert [(t.cycle, t.outcome, t.elapsed) for t in told] == [(1, "retracted", 20), (1, "met", 20)]
    assert hub.states("next_response") == [(1, "met", 20), (2, "running", 21)]


def test_a_late_question_before_one_that_was_announced_gets_a_number_of_its_own() -> None:
    hub = Hub(policy(next_response="1h", warnings=[]))
    hub.play(MAIL, reply("first", 10), mail("B", 100), reply("to B", 130))
    assert hub.states("next_response") == [(1, "met", 10), (2, "met", 30)]
    told = hub.told(mail("late", 40, received=140))
    assert [(t.cycle, t.outcome) for t in told] == [(2, "retracted"), (2, "breached"), (2, "ended")], (
        "B waits since then"
    )
    told = hub.told(reply("to the late one", 50, received=141))
    assert [(t.cycle, t.outcome) for t in told] == [(3, "met"), (2, "retracted"), (2, "met")]
    assert hub.states("next_response") == [(1, "met", 10), (3, "met", 10), (2, "met", 30)]


def test_a_wait_that_turns_out_to_have_begun_earlier_is_the_same_wait() -> None:
    hub = Hub(policy(next_response="1h", warnings=[50]))
    hub.play(MAIL, reply("first", 10), mail("B", 100))
    assert [(t.cycle, t.outcome) for t in hub.told(131)] == [(2, "warned")]
    assert [(t.cycle, t.outcome) for t in hub.told(mail("late", 60, received=140))] == [(2, "breached")]
    assert hub.told(200) == []
    assert hub.clocks("next_response")[-1].started_at == START + 60 * MINUTE


def test_a_late_resolving_shows_that_nothing_waited() -> None:
    hub = Hub(policy(next_response="1h", resolution="1h", warnings=[]))
    assert {(t.metric, t.outcome) for t in hub.told(MAIL, 61)} == {
        (m, "breached") for m in ("next_response", "resolution")
    }
    told = hub.told(status("done", 50, "resolved", received=90))
    assert [(t.metric, t.outcome) for t in told] == [
        ("next_response", "retracted"),
        ("next_response", "cancelled"),
        ("resolution", "retracted"),
        ("resolution", "met"),
    ]


def test_a_late_event_among_hundreds_reaches_the_cycle_it_belongs_to() -> None:
    hub = Hub(policy(next_response="1h", warnings=[]))
    for number in range(40):
        hub.play(mail(f"ask {number}", number * DAY), reply(f"answer {number}", number * DAY + 90))
    assert {v.outcome for v in verdicts(hub.outputs)} == {"breached", "ended"}
    told = hub.told(reply("in time", 3 * DAY + 30, received=41 * DAY))
    assert [(t.cycle, t.outcome, t.elapsed) for t in told] == [(4, "retracted", 30), (4, "met", 30)]


def test_a_ticket_shows_its_newest_cycles_and_remembers_what_it_said_of_all() -> None:
    hub = Hub(policy(next_response="1h", warnings=[]))
    for number in range(30):
        hub.play(mail(f"ask {number}", number * 100), reply(f"answer {number}", number * 100 + 10))
    hub.play(mail("open", 5000))
    assert [clock.cycle for clock in hub.clocks("next_response")] == [27, 28, 29, 30, 31]
    assert len(verdicts(hub.outputs)) == 30
    (state,) = hub.work.customers.values()
    assert len(state.tickets[0].clocks) == 30
    assert len(pack(state)) / 61 < 400, "bytes for each fact and what was said of it"


def test_a_state_from_before_cycles_were_kept_goes_on_with_its_clocks() -> None:
    hub = Hub(policy(first_response="1h", resolution="2h", warnings=[50]))
    hub.play(MAIL, 61)
    ((_, packed),) = hub.work.changed()
    assert packed is not None
    older = unpack(packed)
    for clock in older.tickets[0].clocks:
        clock.begun_at = 0
    restored = Casework()
    restored.configure("t", bundle(1, policy(first_response="1h", resolution="2h", warnings=[50])))
    restored.reached = hub.work.reached
    restored.put(CUSTOMER, pack(older))
    hub.work = restored
    assert [(t.metric, t.cycle, t.outcome) for t in hub.told(reply("answer", 70), 121)] == [
        ("first_response", 1, "ended"),
        ("resolution", 1, "breached"),
    ]


# --- merges: what the clocks make of a history that was merged, and of one that others were merged into


def course(hub: Hub) -> History:
    (state,) = hub.work.customers.values()
    return history(state.tickets[0], state, hub.work.bundles[1], hub.work.reached)


def test_what_is_open_when_a_ticket_is_merged_is_cancelled_and_nothing_begins_after() -> None:
    targets = dict.fromkeys(METRICS, "1h")
    hub = Hub(policy(**targets, warnings=[]))
    hub.play(MAIL, reply("answer", 70), mail("more", 80), mail("after the merge", 95))
    merged = course(hub)
    merged.merged_at = START + 90 * MINUTE
    found = cycles_of(merged, hub.work.bundles[1], frozenset(METRICS))
    ends = {
        metric: [(c.kind, c.stop) for c in cycles if c.stop == merged.merged_at] for metric, cycles in found.items()
    }
    assert ends["next_response"] == ends["resolution"] == ends["ownership"] == [("cancelled", merged.merged_at)]
    assert [c.kind for c in found["first_response"]] == ["met"], "what had ended stays"
    assert all(c.stop is not None for cycles in found.values() for c in cycles)


def test_a_ticket_that_another_is_merged_into_keeps_the_older_unanswered_time() -> None:
    hub = Hub(policy(next_response="24h", first_response="24h"))
    hub.play(mail("target", 100), reply("to the target", 110), mail("target again", 400))
    here = course(hub)
    there = [fact(0, "ask"), fact(20, "answer"), fact(50, "ask"), fact(60, "ask")]
    merged_at = START + 300 * MINUTE
    here.facts = sorted([*here.facts, *there], key=order)
    here.since = {each.id: merged_at for each in there}
    found = cycles_of(here, hub.work.bundles[1], frozenset(METRICS))
    waits = [((c.at - START) // MINUTE, c.kind) for c in found["next_response"]]
    assert waits == [(50, ""), (100, "met")], "since it was asked there; what was answered before is the other's"
    assert [c.at for c in found["first_response"]] == [START + 100 * MINUTE], "the first response was given before"


def test_a_first_response_still_due_is_due_since_the_older_question() -> None:
    hub = Hub(policy(next_response="24h", first_response="24h"))
    hub.play(mail("target", 100))
    here = course(hub)
    there = [fact(0, "ask")]
    here.facts = sorted([*here.facts, *there], key=order)
    here.since = {each.id: START + 300 * MINUTE for each in there}
    found = cycles_of(here, hub.work.bundles[1], frozenset(METRICS))
    assert {metric: [c.at for c in found[metric]] for metric in ("first_response", "next_response")} == {
        "first_response": [START],
        "next_response": [START],
    }


def test_a_question_that_left_with_its_ticket_is_closed_and_its_number_is_not_given_out_again() -> None:
    hub = Hub(policy(next_response="1h", warnings=[50]))
    hub.play(MAIL, reply("first", 10), mail("goes away", 100))
    assert [(t.cycle, t.outcome) for t in hub.told(131)] == [(2, "warned")]
    state = hub.work.customers[CUSTOMER]
    ticket = state.tickets[0]
    ticket.facts = [each for each in ticket.facts if each.at < START + 100 * MINUTE]
    hub.work._touched[CUSTOMER] = None
    told = hub.told(command("note", "note.added", 132, MAIL.id))
    assert [(t.cycle, t.outcome) for t in told] == [(2, "cancelled")]
    hub.play(mail("new", 140))
    assert [(t.cycle, t.outcome) for t in hub.told(reply("answer", 150))] == [(3, "met")]


def fact(minutes: float, kind: str) -> Fact:
    """A mail of a ticket that was merged."""
    asked = kind == "ask"
    return Fact(
        at=START + round(minutes * MINUTE),
        id=f"there-{minutes}",
        type="email.received" if asked else "email.sent",
        ticket="there",
        because="named",
        channel="email",
        direction="inbound" if asked else "outbound",
        conversation="email:there",
        actor="customer" if asked else "agent",
    )
