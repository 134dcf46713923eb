"""The customer who waits: first response, next response, and the updates that were promised in between."""

from __future__ import annotations

import pytest

from schemas.records import Actor, InteractionReceived
from tests.domain.clocks import BOT, MAIL, OWN, Hub, call, chat, mail, policy, reply, status
from tests.domain.stories import bot, command, event

BOTH = ("first_response", "next_response")


def test_the_next_response_waits_from_the_oldest_unanswered_message_and_repeats_do_not_move_it() -> None:
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, mail("again", 20), mail("and again", 40))
    assert hub.due("next_response") == 60
    hub.play(reply("answer", 50))
    assert hub.states("next_response") == [(1, "met", 50)]
    hub.play(mail("more", 70))
    assert hub.states("next_response") == [(1, "met", 50), (2, "running", 0)]
    assert hub.due("next_response") == 130


def test_what_nobody_asked_needs_no_answer_and_an_answer_ends_one_wait_only() -> None:
    hub = Hub(policy(next_response="1h"))
    assert [told.outcome for told in hub.told(MAIL, reply("one", 10), reply("two", 20), reply("three", 500))] == ["met"]


def test_a_breached_wait_is_said_once_however_often_the_customer_asks_again() -> None:
    hub = Hub(policy(next_response="1h", warnings=[]))
    told = hub.told(MAIL, 61, mail("well?", 70), mail("hello?", 90), 200)
    assert [(each.cycle, each.outcome) for each in told] == [(1, "breached")]
    assert [(each.cycle, each.outcome) for each in hub.told(reply("at last", 210))] == [(1, "ended")]


@pytest.mark.parametrize(
    "unanswering",
    [
        event("x", "message.sent", 5, facts=bot()),
        event("x", "message.sent", 5, actor=BOT),
        event("x", "email.auto_replied", 5),
        event("x", "email.bounced", 5),
        event("x", "email.sent", 5, actor=Actor("system")),
        command("x", "note.added", 5, MAIL.id, comment="thinking"),
    ],
    ids=lambda made: f"{made.type}-{made.actor.kind}",
)
def test_bots_automatic_replies_notes_and_bounces_answer_nothing_and_ask_nothing(
    unanswering: InteractionReceived,
) -> None:
    hub = Hub(policy(first_response="1h", next_response="1h", periodic_update="1h", warnings=[]))
    hub.play(MAIL, unanswering)
    assert {clock.metric: clock.state for clock in hub.ticket().clocks} == {
        "first_response": "running",
        "next_response": "running",
    }
    hub.play(reply("answer", 30), 80)
    assert hub.states("next_response") == [(1, "met", 30)], "nothing asked after the answer"


def test_what_is_resolved_unanswered_is_cancelled_and_the_next_question_is_a_new_cycle() -> None:
    hub = Hub(policy(first_response="4h", next_response="4h"))
    told = hub.told(MAIL, status("done", 30, "resolved"))
    assert {(each.metric, each.outcome) for each in told} == {(each, "cancelled") for each in BOTH}
    hub.play(mail("not at all", 60))
    assert hub.states("next_response") == [(1, "cancelled", 30), (2, "running", 0)]
    assert hub.states("first_response") == [(1, "running", 30)], "still not answered; closed time is not counted"


def test_a_wait_goes_on_when_the_resolving_was_taken_back_by_hand() -> None:
    hub = Hub(policy(next_response="4h"))
    hub.play(MAIL, status("done", 30, "resolved"), command("undo", "ticket.reopened", 50, MAIL.id))
    assert hub.states("next_response") == [(1, "running", 30)]
    assert hub.due("next_response") == 260, "what was closed in between is not counted"


def test_a_closed_ticket_leaves_nothing_waiting() -> None:
    hub = Hub(policy(first_response="1h", next_response="1h", periodic_update="1h", resolution="1h"))
    hub.play(MAIL, reply("answer", 5), mail("more", 10), status("end", 20, "closed"))
    assert {clock.state for clock in hub.ticket().clocks} == {"met", "cancelled"}
    assert hub.told(10_000) == []


def test_an_answer_given_after_the_resolving_does_not_make_it_met() -> None:
    hub = Hub(policy(first_response="4h", next_response="4h"))
    hub.play(MAIL, status("done", 30, "resolved"), reply("late", 40))
    assert [clock.state for clock in hub.ticket().clocks] == ["cancelled", "cancelled"]


def test_an_answer_with_the_resolving_at_one_instant_counts() -> None:
    hub = Hub(policy(first_response="4h", next_response="4h"))
    hub.play(MAIL, status("done", 30, "resolved"), reply("answer", 30))
    assert [clock.state for clock in hub.ticket().clocks] == ["met", "met"]


def test_each_public_message_begins_the_next_periodic_update() -> None:
    hub = Hub(policy(periodic_update="1h", warnings=[]))
    hub.play(MAIL)
    assert hub.ticket().clocks == [], "nothing was promised before the first word"
    hub.play(reply("one", 10), reply("two", 50))
    assert hub.states("periodic_update") == [(1, "met", 40), (2, "running", 0)]
    assert [told.outcome for told in hub.told(111)] == ["breached"]
    assert [told.outcome for told in hub.told(reply("three", 120), status("done", 130, "resolved"))] == [
        "ended",
        "cancelled",
    ]


def test_an_answer_at_the_due_instant_is_in_time() -> None:
    hub = Hub(policy(first_response="1h", next_response="1h", warnings=[]))
    assert [told.outcome for told in hub.told(MAIL, 60, reply("answer", 60))] == ["met", "met"]


# --- who had it before a person


def test_the_first_response_begins_at_the_hand_over_if_a_bot_had_it() -> None:
    hub = Hub(policy(first_response="5m", warnings=[]))
    hub.play(
        chat("ask", "message.received", 0),
        chat("bot", "message.sent", 0.1, actor=BOT),
        chat("ask 2", "message.received", 2),
        chat("bot 2", "message.sent", 2.1, actor=BOT),
        chat("queue", "chat.queued", 4, actor=Actor("system")),
    )
    assert hub.due("first_response") == 9
    assert [told.elapsed for told in hub.told(chat("hello", "message.sent", 7, actor=OWN))] == [3]


def test_a_bot_that_gives_the_ticket_to_a_team_hands_it_over_and_a_person_does_not() -> None:
    for actor, due in ((BOT, 64), (OWN, 60)):
        hub = Hub(policy(first_response="1h"))
        given = command("give", "ticket.assigned", 4, MAIL.id, team="second-line")
        fields = {key: getattr(given, key) for key in given.__struct_fields__}
        hub.play(MAIL, event("bot", "message.sent", 1, actor=BOT), InteractionReceived(**fields | {"actor": actor}))
        assert hub.due("first_response") == due


def test_a_hand_over_counts_once_and_only_from_a_bot() -> None:
    hub = Hub(policy(first_response="1h"))
    hub.play(chat("ask", "message.received", 0), chat("queue", "chat.queued", 4))
    assert hub.due("first_response") == 60, "no bot had it"
    hub.play(chat("bot", "message.sent", 5, actor=BOT), chat("over", "chat.transferred", 6))
    assert hub.due("first_response") == 66
    hub.play(chat("bot 2", "message.sent", 7, actor=BOT), chat("over 2", "chat.transferred", 8))
    assert hub.due("first_response") == 66, "nobody begins it anew"


def test_a_hand_over_of_a_resolved_ticket_begins_nothing() -> None:
    hub = Hub(policy(first_response="1h", warnings=[]))
    hub.play(MAIL, event("bot", "message.sent", 1, actor=BOT), status("done", 30, "resolved"))
    assert hub.states("first_response") == [(1, "cancelled", 30)]
    hub.play(chat("over", "chat.transferred", 40))
    assert hub.states("first_response") == [(1, "cancelled", 30)]


def test_while_a_bot_has_it_the_clock_runs_from_the_question() -> None:
    hub = Hub(policy(first_response="1h", warnings=[]))
    assert [told.outcome for told in hub.told(MAIL, event("bot", "message.sent", 1, actor=BOT), 61)] == ["breached"]


def test_the_first_response_begins_at_the_end_of_a_call_that_no_one_answered() -> None:
    hub = Hub(policy(first_response="1h"))
    hub.play(call("queued", "queued", 0), call("voice", "voicemail_left", 3), call("over", "ended", 4))
    assert hub.due("first_response") == 64
    hub.play(call("again", "queued", 30, number="2"), call("picked", "answered", 31, number="2"))
    assert hub.states("first_response") == [(1, "met", 27)]


def test_a_call_that_ends_while_it_waits_asks_and_one_that_was_answered_or_settled_does_not() -> None:
    for step, asked in (("answered", False), ("self_served", False), ("held", True)):
        hub = Hub(policy(next_response="1h"))
        hub.play(MAIL, reply("answer", 1), call("queued", "queued", 5), call("step", step, 6), call("over", "ended", 7))
        assert [cycle for cycle, state, _ in hub.states("next_response") if state == "running"] == [2] * asked


def test_two_at_one_instant_the_answer_is_for_what_was_asked_before() -> None:
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, reply("answer", 10), mail("at once", 10))
    assert hub.states("next_response") == [(1, "met", 10), (2, "running", 0)]


def test_an_answer_that_comes_with_the_resolving_promises_no_update() -> None:
    hub = Hub(policy(periodic_update="1h"))
    assert hub.told(MAIL, reply("done", 10), status("done", 10, "resolved")) == []
