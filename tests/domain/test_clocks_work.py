"""Until the work is done: resolution, agent work, total resolution, reopening, and what changes in between."""

from __future__ import annotations

import pytest

from tests.domain.clocks import MAIL, Hub, mail, policy, reply, status, verdicts
from tests.domain.stories import MINUTE, START, bundle, command


def test_the_three_of_them_differ_in_what_they_pause_for() -> None:
    hub = Hub(policy(resolution="8h", agent_work="8h", total_resolution="8h"))
    hub.play(MAIL, status("ask", 10, "pending"), status("hold", 30, "on_hold"), status("on", 60, "open"))
    hub.play(status("done", 70, "resolved"))
    assert hub.states("resolution") == [(1, "met", 50)], "pending on the customer"
    assert hub.states("agent_work") == [(1, "met", 20)], "pending and on hold"
    assert hub.states("total_resolution") == [(1, "met", 70)], "never"


def test_a_policy_says_what_pauses() -> None:
    hub = Hub(
        policy(total_resolution={"normal": "8h", "pauses": ["on_hold"]}, resolution={"normal": "8h", "pauses": []})
    )
    hub.play(MAIL, status("ask", 10, "pending"), status("hold", 30, "on_hold"), status("done", 70, "resolved"))
    assert (hub.states("total_resolution"), hub.states("resolution")) == ([(1, "met", 30)], [(1, "met", 70)])


def reopened(mode: str) -> Hub:
    hub = Hub(policy(reopen=mode, resolution="8h", agent_work="8h", total_resolution="8h"))
    hub.play(MAIL, status("done", 60, "resolved"), mail("no", 120))
    return hub


def test_resume_goes_on_with_the_time_used_and_counts_nothing_in_between() -> None:
    hub = reopened("resume")
    assert hub.states("resolution") == [(1, "running", 60)]
    assert hub.due("resolution") == 540
    hub.play(status("done2", 180, "resolved"))
    assert hub.states("resolution") == [(1, "met", 120)]
    assert [(v.cycle, v.outcome) for v in verdicts(hub.outputs) if v.metric == "resolution"] == [
        (1, "met"),
        (1, "retracted"),
        (1, "met"),
    ]


def test_count_closed_counts_what_was_closed_once_it_turns_out_not_to_be_done() -> None:
    hub = reopened("count_closed")
    assert hub.states("total_resolution") == [(1, "running", 120)]
    assert hub.due("resolution") == 480


def test_count_closed_finds_a_breach_in_the_closed_time_when_it_is_reopened() -> None:
    hub = Hub(policy(reopen="count_closed", resolution="90m", warnings=[]))
    hub.play(MAIL, status("done", 60, "resolved"))
    found = verdicts(hub.play(mail("no", 120)))
    assert [(v.outcome, (v.due_at or 0) - v.started_at) for v in found] == [
        ("retracted", 90 * MINUTE),
        ("breached", 90 * MINUTE),
    ]


def test_new_cycle_leaves_the_first_as_it_was_and_begins_with_a_fresh_target() -> None:
    hub = reopened("new_cycle")
    assert hub.states("resolution") == [(1, "met", 60), (2, "running", 0)]
    assert hub.due("resolution") == 600
    hub.play(status("done2", 130, "resolved"))
    assert [(v.cycle, v.outcome) for v in verdicts(hub.outputs) if v.metric == "resolution"] == [(1, "met"), (2, "met")]


@pytest.mark.parametrize("mode", ["resume", "count_closed", "new_cycle"])
def test_reopened_after_its_due_a_ticket_that_was_closed_in_time_is_not_breached_unless_closed_time_counts(
    mode: str,
) -> None:
    hub = Hub(policy(reopen=mode, resolution="2h", warnings=[]))
    hub.play(MAIL, status("done", 60, "resolved"), mail("no", 180))
    assert hub.clocks("resolution")[-1].state == ("breached_running" if mode == "count_closed" else "running")


def test_a_change_of_priority_keeps_start_used_time_and_pauses_and_takes_the_new_target() -> None:
    hub = Hub(policy(resolution={"normal": "8h", "high": "2h"}))
    hub.play(MAIL, status("ask", 30, "pending"), status("on", 90, "open"))
    hub.play(command("up", "ticket.prioritised", 100, MAIL.id, priority="high"))
    (clock,) = hub.clocks("resolution")
    assert (clock.started_at, clock.elapsed, hub.due("resolution")) == (MAIL.occurred_at, 40 * MINUTE, 180)


def test_a_change_of_policy_keeps_the_time_that_was_paused() -> None:
    document = policy(resolution="8h") | {
        "policies": [
            {"name": "own", "match": {"team": "second-line"}, "calendar": "always", "targets": {"resolution": "3h"}},
            {"name": "rest", "calendar": "always", "targets": {"resolution": "8h"}},
        ]
    }
    hub = Hub(document)
    hub.play(MAIL, status("ask", 30, "pending"), status("on", 90, "open"))
    hub.play(command("give", "ticket.assigned", 100, MAIL.id, team="second-line"))
    (clock,) = hub.clocks("resolution")
    assert (clock.policy, clock.elapsed, hub.due("resolution")) == ("own", 40 * MINUTE, 240)


def test_pausing_does_not_undo_a_breach() -> None:
    hub = Hub(policy(resolution="1h", warnings=[]))
    hub.play(MAIL, 61)
    assert hub.told(status("ask", 70, "pending"), 500) == []
    assert hub.states("resolution") == [(1, "breached_running", 70)]


def test_a_calendar_edit_computes_open_clocks_anew_and_leaves_finished_cycles_alone() -> None:
    hub = Hub(policy("office", resolution="4h", next_response="4h"))
    hub.play(MAIL, reply("answer", 60), mail("more", 120))
    assert hub.due("next_response") == 120 + 240
    half_days = {"tz": "Europe/Berlin", "hours": {day: [["09:00", "12:00"]] for day in ("mon", "tue", "wed")}}
    edited = policy("office", resolution="4h", next_response="4h") | {"calendars": {"office": half_days}}
    hub.work.configure("t", bundle(2, edited))
    hub.play(mail("still there?", 130))
    assert [(clock.cycle, clock.policy_version) for clock in hub.clocks("next_response")] == [(1, 1), (2, 2)]
    assert hub.due("next_response") == 2 * 24 * 60, "an hour on Monday, three on Tuesday: when Wednesday opens"
    hub.play(reply("late", 20, received=140))
    (first, *_) = hub.clocks("next_response")
    assert (first.elapsed, first.policy_version) == (20 * MINUTE, 1), "a late fact is judged by the version it had"


def test_a_promise_that_lapses_while_another_team_has_it_stands_still_and_goes_on() -> None:
    document = policy(match={"organisation": "vendor-a"}, resolution="2h")
    hub = Hub(document)
    hub.play(MAIL, command("away", "ticket.assigned", 30, MAIL.id, organisation="own"))
    assert hub.states("resolution") == [(1, "cancelled", 30)]
    hub.play(command("back", "ticket.assigned", 90, MAIL.id, organisation="vendor-a"))
    assert hub.states("resolution") == [(1, "running", 30)]
    assert hub.due("resolution") == 180


def test_resolved_the_instant_it_was_opened() -> None:
    hub = Hub(policy(resolution="1h"))
    opened = command("opened", "ticket.opened", 0, "", priority="normal")
    hub.play(opened, command("done", "ticket.status_set", 0, opened.id, status="resolved"))
    assert hub.states("resolution") == [(1, "met", 0)]


def test_a_promise_of_less_than_was_used_is_breached_at_once_also_while_the_clock_stands() -> None:
    hub = Hub(policy(resolution={"normal": "8h", "urgent": "2h"}))
    hub.play(MAIL, status("wait", 180, "pending"))
    told = hub.told(command("up", "ticket.prioritised", 200, MAIL.id, priority="urgent"))
    assert [(each.outcome, each.elapsed) for each in told] == [("breached", 180)]
    assert hub.clocks("resolution")[-1].breached_at == START + 200 * MINUTE
    assert [each.outcome for each in hub.told(status("done", 240, "resolved"))] == ["ended"]
