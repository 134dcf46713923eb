"""Late events, retractions and merges: a cycle keeps its number, and what was said of it is never said of another."""

from __future__ import annotations

from itertools import permutations

import msgspec

from domain.casework import Casework
from domain.policies import METRICS
from schemas.casework_state import pack, unpack
from schemas.records import ContactPoint, InteractionReceived, TicketChanged
from tests.domain.clocks import CUSTOMER, MAIL, Hub, arrived, mail, policy, reply, status, verdicts
from tests.domain.stories import MINUTE, START, bundle, command, event

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


# --- events that can't be as they say


def test_an_event_from_next_year_counts_when_it_was_received() -> None:
    hub = Hub(policy(first_response="1h", warnings=[]))
    hub.play(MAIL, arrived(reply("from a fast clock", 365 * DAY), 50))
    assert hub.states("first_response") == [(1, "met", 50)]


def test_an_answer_from_before_the_ticket_answers_nothing_and_a_question_from_before_it_waits_since_then() -> None:
    hub = Hub(policy(first_response="4h", next_response="4h"))
    hub.play(MAIL, reply("before", -30, received=5))
    assert hub.states("next_response") == [(1, "running", 0)]
    hub.play(mail("question before", -60, received=6), reply("answer", 60))
    assert [(clock.state, clock.elapsed / MINUTE) for clock in hub.clocks("next_response")] == [
        ("met", 30),
        ("met", 60),
    ]


def test_of_two_at_one_instant_without_a_sequence_the_outcome_is_the_same_whatever_came_first() -> None:
    told = [status("done", 30, "resolved"), reply("answer", 30), status("ask", 30, "pending"), mail("more", 30)]
    ends = []
    for order in permutations(told):
        hub = Hub(policy(first_response="4h", next_response="4h", resolution="4h"))
        hub.play(MAIL, *order)
        ends.append(sorted((c.metric, c.started_at, c.state, c.elapsed) for c in hub.ticket().clocks))
    assert ends == [ends[0]] * len(ends)


def test_what_was_never_promised_as_a_late_event_shows_is_taken_back() -> None:
    hub = Hub(policy(match={"organisation": "vendor-a"}, first_response="1h", warnings=[]))
    assert [told.outcome for told in hub.told(MAIL, 61)] == ["breached"]
    away = arrived(command("away", "ticket.assigned", 0, MAIL.id, organisation="own"), 70)
    assert [(told.cycle, told.outcome) for told in hub.told(away)] == [(1, "retracted")]


def test_an_answer_before_a_question_at_its_source_is_none_though_at_one_instant() -> None:
    for number, state in ((1, "running"), (9, "met")):
        hub = Hub(policy(first_response="4h", next_response="4h"))
        answer = msgspec.structs.replace(reply("answer", 0), sequence=number)
        hub.play(msgspec.structs.replace(MAIL, sequence=5), answer)
        assert {clock.state for clock in hub.ticket().clocks} == {state}


# --- merges

OTHER = command("other", "ticket.opened", 40, "")


def merged(*before: InteractionReceived, document: object = None) -> Hub:
    """The first ticket merged into another after an hour."""
    hub = Hub(document or policy(next_response="24h", first_response="24h"))
    hub.play(MAIL, *before, OTHER, on_other("ask", "email.received", 45))
    hub.play(command("merge", "ticket.merged", 60, MAIL.id, target=OTHER.id))
    return hub


def on_other(name: str, kind: str, minutes: float) -> InteractionReceived:
    point = ContactPoint("hub", f"ticket:{OTHER.id}")
    return event(name, kind, minutes, conversation="email:other", points=[point])


def waits(hub: Hub, ticket: str) -> list[tuple[float, str]]:
    """Begin, in minutes, and state of a ticket's clocks for the next response."""
    view = [each for each in hub.outputs if isinstance(each, TicketChanged) and each.id == ticket][-1]
    return [((c.started_at - START) / MINUTE, c.state) for c in view.clocks if c.metric == "next_response"]


def test_a_ticket_that_another_is_merged_into_keeps_the_older_unanswered_time() -> None:
    hub = merged()
    assert (waits(hub, MAIL.id), waits(hub, OTHER.id)) == ([(0, "cancelled")], [(0, "running")])
    hub.play(on_other("answer", "email.sent", 70))
    assert waits(hub, OTHER.id) == [(0, "met")]
    assert [v.elapsed / MINUTE for v in verdicts(hub.outputs) if (v.ticket, v.outcome) == (OTHER.id, "met")] == [70, 70]


def test_what_was_answered_or_settled_before_the_merge_is_the_other_ticket_s_own() -> None:
    for before in (reply("answer", 20), status("done", 20, "resolved")):
        assert waits(merged(before), OTHER.id) == [(45, "running")]
    undone = merged(status("done", 20, "resolved"), command("undo", "ticket.reopened", 25, MAIL.id))
    assert waits(undone, OTHER.id) == [(0, "running")]


def test_past_breaches_stay_with_the_merged_ticket_and_an_unmerge_goes_on_where_it_was() -> None:
    hub = merged(document=policy(next_response="30m", resolution="2h", warnings=[]))
    said = [(v.metric, v.outcome) for v in verdicts(hub.outputs) if v.ticket == MAIL.id]
    assert said == [("next_response", "breached"), ("next_response", "ended"), ("resolution", "cancelled")]
    hub.play(61, command("undo", "ticket.unmerged", 70, MAIL.id))
    assert [(v.metric, v.outcome) for v in verdicts(hub.outputs) if v.ticket == MAIL.id][3:] == [
        ("resolution", "retracted"),
    ]
    assert (waits(hub, MAIL.id), waits(hub, OTHER.id)) == ([(0, "breached_running")], [(45, "running")])


def test_what_is_open_when_a_ticket_is_merged_is_cancelled_and_nothing_begins_after() -> None:
    hub = Hub(policy(**dict.fromkeys(METRICS, "8h")))
    hub.play(MAIL, reply("answer", 20), mail("more", 30), OTHER)
    hub.play(command("merge", "ticket.merged", 60, MAIL.id, target=OTHER.id), mail("after", 70))
    view = [each for each in hub.outputs if isinstance(each, TicketChanged) and each.id == MAIL.id][-1]
    assert {clock.state for clock in view.clocks} == {"met", "cancelled"}
    assert {clock.ended_at for clock in view.clocks if clock.state == "cancelled"} == {START + 60 * MINUTE}


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
