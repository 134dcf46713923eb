"""Cycles from bare facts: where each begins, by what, where it ends, by what, and how; instants are minutes.

The rules as people meet them, with policies and verdicts, are in the tests of clocks; here is every field of a cycle.
"""

from __future__ import annotations

from domain.cycles import Cycle, cycles_of
from domain.policies import EMPTY, Attributes
from domain.tickets import History, Moment
from schemas.casework_state import Fact
from tests.domain.histories import history_of
from tests.domain.stories import MINUTE, START

Told = tuple[float, str, float | None, str, str]
ASKED, SENT = "email.received", "email.sent"
AGENTS = ("email.sent", "message.sent", "call.answered", "chat.accepted", "callback.completed")


def fact(name: str, kind: str, minutes: float, actor: str = "", sequence: int = -1, conversation: str = "c") -> Fact:
    outbound = kind in AGENTS
    return Fact(
        at=START + round(minutes * MINUTE),
        id=name,
        type=kind,
        ticket="t",
        because="named",
        channel="email",
        direction="outbound" if outbound else "inbound",
        conversation=conversation,
        sequence=sequence,
        actor=actor or ("agent" if outbound else "customer"),
    )


def moment(by: Fact, status: str) -> Moment:
    return Moment(by.at, by.id, status, Attributes("t", "email", "normal"))


def course(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> History:
    """A ticket of these facts; ``turns``: the status from a fact on, by its name."""
    by_name = {each.id: each for each in facts}
    moments = [moment(facts[0], "open")] + [moment(by_name[name], status) for name, status in turns]
    return history_of(moments, facts)


def cycles(metric: str, *facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> list[Told]:
    found = cycles_of(course(*facts, turns=turns), EMPTY, frozenset({metric})).get(metric, [])
    assert all(each.metric == metric for each in found)
    assert all(each.counts_closed == (metric == "call_answer") for each in found)
    return [short(each) for each in found]


def short(cycle: Cycle) -> Told:
    stop = None if cycle.stop is None else (cycle.stop - START) / MINUTE
    return (cycle.at - START) / MINUTE, cycle.by, stop, cycle.stop_by, cycle.kind


DONE = fact("done", "ticket.status_set", 30)
AGAIN = fact("again", "ticket.status_set", 40)
TURNS = (("done", "resolved"), ("again", "open"))


# --- first response


def first(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> Told | None:
    found = cycles("first_response", *facts, turns=turns)
    return found[0] if found else None


def test_the_first_response() -> None:
    asked, answer = fact("a", ASKED, 10), fact("answer", SENT, 20)
    assert first(asked) == (10, "a", None, "", "")
    assert first(asked, fact("b", ASKED, 12), answer, fact("later", SENT, 25)) == (10, "a", 20, "answer", "met")
    assert first(fact("note", "note.added", 5, "agent")) is None
    assert first(fact("early", SENT, 5), asked) == (10, "a", None, "", ""), "what was sent before answers nothing"
    assert first(asked, fact("by a bot", SENT, 15, "bot"), answer) == (10, "a", 20, "answer", "met")
    assert first(fact("by a bot", ASKED, 5, "bot"), asked) == (10, "a", None, "", "")


def test_a_first_response_at_the_instant_of_the_question_comes_after_it_unless_the_source_says_otherwise() -> None:
    answer = fact("answer", SENT, 10)
    assert first(answer, fact("a", ASKED, 10)) == (10, "a", 10, "a", "met")
    assert first(fact("answer", SENT, 10, sequence=1), fact("a", ASKED, 10, sequence=2)) == (10, "a", None, "", "")
    assert first(fact("answer", SENT, 10, sequence=2), fact("a", ASKED, 10, sequence=1)) == (10, "a", 10, "a", "met")
    assert first(fact("answer", SENT, 10, sequence=1), fact("a", ASKED, 10, sequence=1)) == (10, "a", 10, "a", "met")
    assert first(fact("answer", SENT, 10, sequence=0), fact("a", ASKED, 10, sequence=1)) == (10, "a", None, "", "")


def test_a_first_response_is_given_up_with_the_ticket() -> None:
    asked = fact("a", ASKED, 10)
    assert first(asked, DONE, turns=TURNS[:1]) == (10, "a", 30, "done", "cancelled")
    assert first(asked, DONE, AGAIN, turns=TURNS) == (10, "a", None, "", "")
    after = fact("answer", SENT, 35)
    assert first(asked, DONE, after, turns=TURNS[:1]) == (10, "a", 30, "done", "cancelled")
    at_once = fact("answer", SENT, 30)
    assert first(asked, DONE, at_once, turns=TURNS[:1]) == (10, "a", 30, "answer", "met")
    later = fact("answer", SENT, 50)
    assert first(asked, DONE, AGAIN, later, turns=TURNS) == (10, "a", 50, "answer", "met")
    assert first(fact("note", "note.added", 5), DONE, fact("a", ASKED, 35), turns=TURNS[:1]) is None
    assert first(fact("note", "note.added", 5), DONE, AGAIN, fact("a", ASKED, 45), turns=TURNS) == (
        45,
        "a",
        None,
        "",
        "",
    )


def test_a_bot_that_had_the_customer_hands_over_and_the_first_response_begins_there() -> None:
    asked, bot = fact("a", "message.received", 10), fact("bot", "message.sent", 11, "bot")
    queued = fact("queued", "chat.queued", 12, "system")
    assert first(asked, bot, queued) == (12, "queued", None, "", "")
    assert first(asked, queued) == (10, "a", None, "", ""), "no bot had it"
    moved = fact("moved", "chat.transferred", 14, "agent")
    assert first(asked, bot, queued, moved) == (12, "queued", None, "", ""), "the first hand-over"
    assert first(asked, bot, moved) == (14, "moved", None, "", "")
    given = fact("given", "ticket.assigned", 13, "agent")
    assert first(asked, bot, given) == (10, "a", None, "", ""), "a person's command is no hand-over by the bot"
    assert first(asked, bot, fact("given", "ticket.assigned", 13, "bot")) == (13, "given", None, "", "")
    assert first(asked, bot, fact("given", "ticket.escalated", 13, "system")) == (13, "given", None, "", "")
    assert first(asked, bot, fact("note", "note.added", 13, "bot")) == (10, "a", None, "", "")


def test_a_call_that_no_one_answered_is_answered_late_from_its_end() -> None:
    lost = fact("gone", "call.abandoned", 10)
    assert first(lost, fact("end", "call.ended", 11)) == (11, "end", None, "", "")
    assert first(lost, fact("end", "call.ended", 11, conversation="other")) == (10, "gone", None, "", "")
    assert first(fact("voice", "call.voicemail_left", 10), fact("end", "call.ended", 12)) == (12, "end", None, "", "")
    assert first(fact("a", ASKED, 10), fact("end", "call.ended", 12)) == (10, "a", None, "", "")
    rang = fact("rings", "call.queued", 5)
    assert first(rang, fact("end", "call.ended", 6)) == (6, "end", None, "", ""), "it rang out"
    assert first(fact("rings", "call.offered", 5), fact("end", "call.ended", 6)) == (6, "end", None, "", "")
    assert first(rang, fact("yes", "call.answered", 6), fact("end", "call.ended", 7)) is None
    assert first(rang, fact("menu", "call.self_served", 6), fact("end", "call.ended", 7)) is None
    assert first(rang, fact("end", "call.ended", 6, conversation="other")) is None
    assert first(fact("end", "call.ended", 6)) is None


def test_who_hands_over_without_a_bot_moves_nothing() -> None:
    asked, queued = fact("a", "message.received", 10), fact("queued", "chat.queued", 12, "system")
    assert first(asked, fact("note", "note.added", 11, "bot"), queued) == (10, "a", None, "", "")
    automatic = fact("automatic", "message.sent", 11)
    automatic.automatic = True
    assert first(asked, automatic, queued) == (10, "a", None, "", "")


def test_the_first_of_two_questions_at_one_instant_is_the_question() -> None:
    both = fact("b", ASKED, 10), fact("a", ASKED, 10)
    assert first(*both) == (10, "b", None, "", "")
    assert nexts(*both) == [(10, "b", None, "", "")]


def test_a_call_that_was_settled_otherwise_does_not_ring_out() -> None:
    rings, end = fact("rings", "call.queued", 5), fact("end", "call.ended", 8)
    assert first(rings, fact("voice", "call.voicemail_left", 6, "bot"), end) is None
    gone, answer = fact("gone", "call.abandoned", 6), fact("x", SENT, 7)
    assert nexts(rings, gone, answer, end) == [(6, "gone", 7, "x", "met")]


def test_a_ticket_that_began_finished_asks_nothing() -> None:
    note, asked = fact("note", "note.added", 0), fact("a", ASKED, 10)
    course = history_of([moment(note, "resolved"), moment(asked, "closed")], [note, asked])
    assert cycles_of(course, EMPTY, frozenset({"first_response", "next_response"})) == {}


# --- next responses and updates


def nexts(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> list[Told]:
    return cycles("next_response", *facts, turns=turns)


def updates(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> list[Told]:
    return cycles("periodic_update", *facts, turns=turns)


def test_each_question_waits_for_the_next_answer() -> None:
    told = fact("a", ASKED, 10), fact("b", ASKED, 11), fact("x", SENT, 20), fact("y", SENT, 25), fact("c", ASKED, 26)
    assert nexts(*told) == [(10, "a", 20, "x", "met"), (26, "c", None, "", "")]
    assert nexts(fact("x", SENT, 5)) == []
    assert nexts(fact("x", SENT, 10), fact("a", ASKED, 10)) == [(10, "a", 10, "a", "met")]
    again = fact("x", SENT, 10), fact("a", ASKED, 10), fact("b", ASKED, 10)
    assert nexts(*again) == [(10, "a", 10, "a", "met"), (10, "b", None, "", "")], "one answer answers one question"
    rang = fact("rings", "call.queued", 5), fact("end", "call.ended", 6), fact("x", SENT, 9)
    assert nexts(*rang) == [(6, "end", 9, "x", "met")]
    asked = fact("rings", "call.queued", 5), fact("a", ASKED, 5.5), fact("end", "call.ended", 6)
    assert nexts(*asked) == [(5.5, "a", None, "", "")], "what the customer asked then is asked"


def test_questions_and_updates_are_told_where_they_are_wanted() -> None:
    both = course(fact("x", SENT, 5), fact("a", ASKED, 10))
    for wanted in ("next_response", "periodic_update"):
        assert set(cycles_of(both, EMPTY, frozenset({wanted}))) == {wanted}
    note = course(fact("note", "note.added", 5))
    assert cycles_of(note, EMPTY, frozenset({"next_response", "periodic_update"})) == {}
    at_once = fact("x", SENT, 10), fact("z", ASKED, 10), fact("a", ASKED, 10)
    assert nexts(*at_once) == [(10, "z", 10, "z", "met"), (10, "a", None, "", "")], "as the log has them"


def test_a_question_is_given_up_with_the_ticket_and_taken_up_with_it() -> None:
    asked = fact("a", ASKED, 10)
    assert nexts(asked, DONE, turns=TURNS[:1]) == [(10, "a", 30, "done", "cancelled")]
    assert nexts(asked, DONE, AGAIN, turns=TURNS) == [(10, "a", None, "", "")], "taken back by hand"
    turned = fact("again", ASKED, 40)
    assert nexts(asked, DONE, turned, turns=TURNS) == [(10, "a", 30, "done", "cancelled"), (40, "again", None, "", "")]
    answer = fact("x", SENT, 35)
    assert nexts(asked, DONE, answer, AGAIN, turns=TURNS) == [(10, "a", 30, "done", "cancelled")]
    at_once = fact("x", SENT, 30)
    assert nexts(asked, DONE, at_once, turns=TURNS[:1]) == [(10, "a", 30, "x", "met")]
    assert nexts(DONE, fact("thanks", ASKED, 35), turns=TURNS[:1]) == [], "a closed ticket asks nothing"
    assert nexts(fact("x", SENT, 9), DONE, fact("a", ASKED, 35), AGAIN, fact("b", ASKED, 45), turns=TURNS) == [
        (45, "b", None, "", "")
    ]


def test_each_public_message_promises_the_next() -> None:
    told = fact("x", SENT, 10), fact("y", SENT, 20), fact("a", ASKED, 25), fact("z", SENT, 50)
    assert updates(*told) == [(10, "x", 20, "y", "met"), (20, "y", 50, "z", "met"), (50, "z", None, "", "")]
    assert updates(fact("x", SENT, 10), fact("y", SENT, 10)) == [(10, "x", None, "", "")], "two at once are one"
    assert updates(fact("a", ASKED, 5)) == []
    assert updates(fact("x", SENT, 10), fact("note", "note.added", 15, "agent")) == [(10, "x", None, "", "")]
    assert updates(fact("x", SENT, 10), fact("bot", SENT, 15, "bot")) == [(10, "x", None, "", "")]


def test_no_update_is_owed_on_what_is_resolved() -> None:
    before = fact("x", SENT, 10)
    assert updates(before, DONE, turns=TURNS[:1]) == [(10, "x", 30, "done", "cancelled")]
    assert updates(before, DONE, AGAIN, turns=TURNS) == [(10, "x", 30, "done", "cancelled")]
    after = fact("y", SENT, 50)
    assert updates(before, DONE, AGAIN, after, turns=TURNS) == [
        (10, "x", 30, "done", "cancelled"),
        (50, "y", None, "", ""),
    ]
    assert updates(fact("x", SENT, 30), DONE, turns=TURNS[:1]) == [], "it lasted no time"
    assert updates(DONE, fact("y", SENT, 35), turns=TURNS[:1]) == []


# --- calls and calls back


def answered(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> list[Told]:
    return cycles("call_answer", *facts, turns=turns)


def backs(*facts: Fact, turns: tuple[tuple[str, str], ...] = ()) -> list[Told]:
    return cycles("callback", *facts, turns=turns)


def test_a_call_waits_for_a_person() -> None:
    rings = fact("rings", "call.queued", 10)
    assert answered(rings) == [(10, "rings", None, "", "")]
    assert answered(rings, fact("yes", "call.answered", 12)) == [(10, "rings", 12, "yes", "met")]
    assert answered(rings, fact("menu", "call.answered", 12, "bot")) == [(10, "rings", None, "", "")]
    assert answered(rings, fact("x", SENT, 12)) == [(10, "rings", None, "", "")], "a mail is no one on the phone"
    for left in ("call.abandoned", "call.ended", "call.voicemail_left", "call.self_served", "callback.requested"):
        assert answered(rings, fact("left", left, 13)) == [(10, "rings", 13, "left", "cancelled")]
    assert answered(rings, fact("on", "call.queued", 11), fact("yes", "call.answered", 12)) == [
        (10, "rings", 12, "yes", "met")
    ]
    (whole,) = cycles_of(course(rings), EMPTY, frozenset({"call_answer"}))["call_answer"]
    assert whole.call is rings


def test_calls_wait_each_for_itself_and_stand_in_the_order_in_which_they_began() -> None:
    one, two = fact("1", "call.queued", 10, conversation="one"), fact("2", "call.queued", 11, conversation="two")
    yes = fact("yes", "call.answered", 12, conversation="two")
    assert answered(one, two, yes) == [(10, "1", None, "", ""), (11, "2", 12, "yes", "met")]
    assert answered(one, two, DONE, turns=TURNS[:1]) == [
        (10, "1", 30, "done", "cancelled"),
        (11, "2", 30, "done", "cancelled"),
    ]
    gone = fact("gone", "call.abandoned", 12, conversation="one")
    assert answered(one, two, gone, DONE, turns=TURNS[:1]) == [
        (10, "1", 12, "gone", "cancelled"),
        (11, "2", 30, "done", "cancelled"),
    ]
    third = fact("3", "call.queued", 50, conversation="one")
    assert answered(one, DONE, AGAIN, third, turns=TURNS) == [
        (10, "1", 30, "done", "cancelled"),
        (50, "3", None, "", ""),
    ]


def test_calls_and_wishes_are_told_where_they_are_wanted() -> None:
    both = course(fact("rings", "call.queued", 10), fact("wish", "callback.requested", 12))
    for wanted in ("call_answer", "callback"):
        assert set(cycles_of(both, EMPTY, frozenset({wanted}))) == {wanted}
    neither = course(fact("a", ASKED, 10))
    assert cycles_of(neither, EMPTY, frozenset({"call_answer", "callback"})) == {}
    at_once = fact("z", "call.queued", 10, conversation="one"), fact("a", "call.queued", 10, conversation="two")
    assert answered(*at_once) == [(10, "z", None, "", ""), (10, "a", None, "", "")], "as the log has them"


def test_a_call_that_is_taken_at_the_instant_it_is_queued_waited_for_nothing() -> None:
    yes, rings = fact("yes", "call.answered", 10), fact("rings", "call.queued", 10)
    assert answered(yes, rings) == [(10, "rings", 10, "yes", "met")]
    assert answered(fact("gone", "call.abandoned", 10), rings) == []
    assert answered(fact("yes", "call.answered", 9), rings) == [(10, "rings", None, "", "")], "that was before"
    assert answered(fact("yes", "call.answered", 10, sequence=1), fact("rings", "call.queued", 10, sequence=2)) == [
        (10, "rings", None, "", "")
    ]


def test_a_wish_to_be_called_back_waits_for_the_call() -> None:
    wish, done = fact("wish", "callback.requested", 10), fact("back", "callback.completed", 20)
    assert backs(wish) == [(10, "wish", None, "", "")]
    assert backs(wish, fact("more", "callback.requested", 12), done) == [(10, "wish", 20, "back", "met")]
    assert backs(wish, fact("x", SENT, 15)) == [(10, "wish", None, "", "")]
    assert backs(wish, fact("bot", "callback.completed", 15, "bot")) == [(10, "wish", None, "", "")]
    assert backs(done) == []
    assert backs(fact("back", "callback.completed", 10), wish) == [(10, "wish", 10, "wish", "met")]
    assert backs(fact("back", "callback.completed", 9), wish) == [(10, "wish", None, "", "")]
    assert backs(wish, DONE, turns=TURNS[:1]) == [(10, "wish", 30, "done", "cancelled")]
    assert backs(wish, done, fact("again", "callback.requested", 40)) == [
        (10, "wish", 20, "back", "met"),
        (40, "again", None, "", ""),
    ]
    assert backs(wish, DONE, AGAIN, fact("more", "callback.requested", 50), turns=TURNS) == [
        (10, "wish", 30, "done", "cancelled"),
        (50, "more", None, "", ""),
    ]
