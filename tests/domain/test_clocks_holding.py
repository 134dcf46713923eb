"""Between teams: how long it took to take a ticket on, and how long each of them held it."""

from __future__ import annotations

from schemas.records import Actor, InteractionReceived
from tests.domain.clocks import MAIL, OWN, VENDOR, Hub, call, mail, policy, reply, status, verdicts
from tests.domain.stories import MINUTE, START, command

SHEET = policy(ownership="4h", acknowledgement="30m", warnings=[])


def by(actor: Actor, made: InteractionReceived) -> InteractionReceived:
    fields = {key: getattr(made, key) for key in made.__struct_fields__}
    return InteractionReceived(**fields | {"actor": actor})


def give(minutes: float, organisation: str, team: str, kind: str = "ticket.assigned") -> InteractionReceived:
    made = command(f"give {minutes}", kind, minutes, MAIL.id, organisation=organisation, team=team)
    return by(Actor("agent", id="lead", team="desk", organisation="desk"), made)


def test_each_stretch_belongs_to_one_holder_and_ends_when_it_is_handed_on_or_resolved() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, give(60, "own", "second-line"), give(90, "vendor-a", "first-line"), status("done", 100, "resolved"))
    assert hub.states("ownership") == [(1, "met", 60), (2, "met", 30), (3, "met", 10)]
    assert [(v.organisation, v.elapsed // MINUTE) for v in verdicts(hub.outputs) if v.metric == "ownership"] == [
        ("vendor-a", 60),
        ("own", 30),
        ("vendor-a", 10),
    ]


def test_holding_it_too_long_is_the_holder_s_breach() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, give(30, "own", "second-line"), 300)
    (breach,) = (v for v in verdicts(hub.outputs) if (v.metric, v.outcome) == ("ownership", "breached"))
    assert (breach.cycle, breach.organisation, breach.elapsed) == (2, "own", 270 * MINUTE)


def test_a_ticket_given_to_another_person_of_the_team_is_not_handed_on() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, command("person", "ticket.assigned", 20, MAIL.id, person="v-2"))
    assert hub.states("ownership") == [(1, "running", 20)]


def test_a_reopened_ticket_is_the_same_stretch_unless_the_policy_begins_anew() -> None:
    for mode, states in (("resume", [(1, "running", 60)]), ("new_cycle", [(1, "met", 60), (2, "running", 0)])):
        hub = Hub(policy(ownership="4h", reopen=mode))
        hub.play(MAIL, status("done", 60, "resolved"), mail("no", 120))
        assert hub.states("ownership") == states


def test_it_is_taken_on_with_the_first_action_of_its_assignee() -> None:
    for action in (
        by(VENDOR, command("note", "note.added", 20, MAIL.id, comment="looking")),
        by(VENDOR, command("take", "ticket.assigned", 20, MAIL.id, person="v-1")),
        reply("answer", 20, actor=VENDOR),
        reply("answer", 20, actor=Actor("agent")),
        by(OWN, command("accept", "ticket.accepted", 20, MAIL.id)),
    ):
        hub = Hub(SHEET)
        hub.play(MAIL, action)
        assert hub.states("acknowledgement") == [(1, "met", 20)], action.type


def test_what_another_team_does_takes_nothing_on() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, by(OWN, command("note", "note.added", 10, MAIL.id, comment="?")), reply("answer", 20, actor=OWN))
    hub.play(by(Actor("bot"), command("bot", "note.added", 25, MAIL.id, comment="triage")))
    assert [told.outcome for told in hub.told(31)] == ["breached"]


def test_handing_it_on_ends_the_wait_for_the_first_and_begins_the_second_s() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, give(10, "own", "second-line", "ticket.escalated"))
    assert hub.states("acknowledgement") == [(1, "met", 10), (2, "running", 0)]
    assert hub.due("acknowledgement") == 40
    hub.play(reply("answer", 25, actor=OWN))
    assert hub.states("acknowledgement") == [(1, "met", 10), (2, "met", 15)]


def test_who_takes_it_acts_on_it_at_once() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, by(OWN, give(10, "own", "second-line")))
    assert hub.states("acknowledgement") == [(1, "met", 10), (2, "met", 0)]


def test_a_ticket_that_is_resolved_by_others_needs_no_taking_on() -> None:
    hub = Hub(SHEET)
    hub.play(MAIL, by(OWN, status("done", 10, "resolved")))
    assert hub.states("acknowledgement") == [(1, "cancelled", 10)]


def test_a_ticket_that_nobody_holds_has_no_stretch() -> None:
    hub = Hub(SHEET | {"routes": []})
    hub.play(MAIL)
    assert hub.ticket().clocks == []
    hub.play(give(10, "own", "second-line"))
    assert hub.states("ownership") == [(1, "running", 0)]


def test_the_stretches_of_all_holders_sum_to_what_the_customer_waited() -> None:
    hub = Hub(policy(ownership="4h", total_resolution="8h", warnings=[]))
    hub.play(MAIL, give(61.5, "own", "second-line"), give(90.25, "vendor-b", "desk"), status("done", 100, "resolved"))
    (whole,) = hub.clocks("total_resolution")
    assert sum(clock.elapsed for clock in hub.clocks("ownership")) == whole.elapsed
    told = next(v for v in verdicts(hub.outputs) if v.metric == "total_resolution")
    assert [(i.organisation, i.counted / MINUTE) for i in told.evidence] == [
        ("vendor-a", 61.5),
        ("own", 28.75),
        ("vendor-b", 9.75),
    ]


def test_a_stretch_begins_when_the_ticket_is_opened_and_not_with_the_call_that_waited_before() -> None:
    hub = Hub(SHEET | {"routes": [{"match": {}, "assign": {"team": "first-line"}}]})
    hub.play(call("queued", "queued", 0), call("gone", "abandoned", 5))
    assert [(clock.started_at - START) / MINUTE for clock in hub.clocks("ownership")] == [5]
