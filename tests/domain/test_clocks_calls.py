"""The caller who waits: for a person, and for the call back."""

from __future__ import annotations

from schemas.records import Actor, InteractionReceived
from tests.domain.clocks import MAIL, Hub, call, policy, status, verdicts
from tests.domain.stories import event

PATIENCE = policy(call_answer="1m", callback="2h", warnings=[])


def wish(name: str, minutes: float) -> InteractionReceived:
    return event(name, "callback.requested", minutes, channel="voice", conversation="call:1")


def test_a_call_waits_from_the_queue_to_the_person_who_takes_it() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, call("queued", "queued", 10), call("picked", "answered", 10.5), call("over", "ended", 15))
    assert hub.states("call_answer") == [(1, "met", 0.5)]


def test_a_caller_who_gives_up_cancels_it_and_one_who_waited_longer_than_promised_has_been_let_down() -> None:
    for waited, state in ((0.9, "cancelled"), (1, "cancelled"), (1.1, "breached")):
        hub = Hub(PATIENCE)
        hub.play(MAIL, call("queued", "queued", 10), call("gone", "abandoned", 10 + waited))
        assert [clock[1:] for clock in hub.states("call_answer")] == [(state, waited)]


def test_a_second_queue_goes_on_with_the_wait_and_after_an_answer_it_is_another_one() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, call("a", "queued", 10, "first"), call("b", "queued", 10.2, "second"))
    assert hub.due("call_answer") == 11
    hub.play(call("picked", "answered", 10.5), call("c", "queued", 12, "third"), call("d", "answered", 12.1))
    assert [state for _, state, _ in hub.states("call_answer")] == ["met", "met"]


def test_a_person_who_takes_it_at_the_instant_it_is_queued() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, call("queued", "queued", 10), call("picked", "answered", 10))
    assert hub.states("call_answer") == [(1, "met", 0)]


def test_two_calls_of_a_customer_wait_each_for_itself() -> None:
    hub = Hub(PATIENCE)
    hub.play(
        MAIL, call("a", "queued", 10), call("b", "queued", 10, number="2"), call("c", "answered", 10.5, number="2")
    )
    assert sorted(state for _, state, _ in hub.states("call_answer")) == ["met", "running"]
    assert [(told.outcome) for told in hub.told(12, 13, 14)] == ["breached"]


def test_the_queue_and_the_channel_of_the_call_choose_the_policy() -> None:
    hub = Hub(policy(match={"queue": "gold", "channel": "voice"}, call_answer="1m"))
    hub.play(MAIL, call("a", "queued", 10, "gold"), call("b", "queued", 11, "other", number="2"))
    assert [clock.started_at for clock in hub.clocks("call_answer")] == [MAIL.occurred_at + 600_000_000]
    (verdict,) = (v for v in verdicts(hub.play(12)) if v.outcome == "breached")
    assert (verdict.queue, verdict.channel) == ("gold", "voice")
    assert {interval.queue for interval in verdict.evidence} == {"gold"}


def test_a_call_on_a_resolved_ticket_waits_all_the_same() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, status("done", 5, "resolved"), call("queued", "queued", 10))
    assert hub.states("call_answer") == [(1, "running", 0)]
    assert [told.outcome for told in hub.told(11.5)] == ["breached"]


def test_a_wish_to_be_called_back_is_kept_by_the_call_and_not_by_an_attempt() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, call("queued", "queued", 0.5), wish("please", 2), wish("still", 30))
    assert [state for _, state, _ in hub.states("call_answer")] == ["breached"], (
        "who leaves the queue for it waited more than a minute"
    )
    assert hub.due("callback") == 122
    agent = Actor("agent", id="v-1")
    hub.play(event("try", "callback.attempted", 40, channel="voice", conversation="call:7", actor=agent))
    hub.play(event("back", "callback.completed", 50, channel="voice", conversation="call:8", actor=agent))
    assert hub.states("callback") == [(1, "met", 48)]


def test_a_wish_on_a_ticket_that_is_resolved_is_cancelled() -> None:
    hub = Hub(PATIENCE)
    hub.play(MAIL, wish("please", 2), status("done", 30, "resolved"))
    assert hub.states("callback") == [(1, "cancelled", 28)]
