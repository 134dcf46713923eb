"""What of a merged ticket waits on in the other one, and what a merge cuts off: facts, without a policy or a calendar.

Minutes after the start; ``there`` and ``elsewhere`` are tickets that were merged into this one at minute 100.
"""

from __future__ import annotations

from domain.cycles import _with_carried, cycles_of
from domain.policies import Attributes
from domain.tickets import History, Moment, history
from schemas.casework_state import Fact
from tests.domain.clocks import CUSTOMER, MAIL, Hub, call, mail, policy, reply, status
from tests.domain.histories import history_of
from tests.domain.stories import MINUTE, START

MERGED = 100.0
ASKED = "email.received"
SENT = "email.sent"


def fact(name: str, kind: str, minutes: float, ticket: str = "there", conversation: str = "") -> Fact:
    inbound = kind not in (SENT, "call.answered", "callback.completed")
    return Fact(
        at=START + round(minutes * MINUTE),
        id=name,
        type=kind,
        ticket=ticket,
        because="named",
        channel="voice" if kind.startswith("call") else "email",
        direction="inbound" if inbound else "outbound",
        conversation=conversation or f"{kind[:4]}:{ticket}",
        actor="customer" if inbound else "agent",
    )


def carried(*facts: Fact, settled: tuple[str, ...] = ()) -> list[str]:
    """What counts here of these facts, when those of other tickets count since the merge."""
    moment = Moment(facts[0].at, facts[0].id, "open", Attributes("t", "email", "normal"))
    here = history_of([moment], facts)
    here.since = {each.id: START + round(MERGED * MINUTE) for each in facts if each.ticket != "here"}
    here.settled = set(settled)
    return [each.id for each in _with_carried(here)]


def test_a_question_waits_on_until_it_was_answered_there() -> None:
    assert carried(fact("a", ASKED, 10)) == ["a"]
    assert carried(fact("a", ASKED, 10), fact("b", ASKED, 20)) == ["a"], "the older of two"
    assert carried(fact("a", ASKED, 10), fact("answer", SENT, 20)) == []
    assert carried(fact("a", ASKED, 10), fact("answer", SENT, 20), fact("b", ASKED, 30)) == ["b"]
    assert carried(fact("answer", SENT, 5), fact("a", ASKED, 10)) == ["a"]
    assert carried(fact("a", ASKED, 10), fact("b", ASKED, 20, "elsewhere")) == ["a", "b"], "one of each ticket"
    assert carried(fact("a", ASKED, 10), fact("answer", SENT, 20, "elsewhere")) == ["a"]


def test_what_was_settled_there_when_that_ticket_was_finished_waits_no_more() -> None:
    facts = fact("a", ASKED, 10), fact("wish", "callback.requested", 15), fact("rings", "call.queued", 20)
    assert carried(*facts) == ["a", "wish", "rings"]
    assert carried(*facts, settled=("a", "wish", "rings")) == []
    assert carried(*facts, settled=("a",)) == ["wish", "rings"]
    assert carried(fact("a", ASKED, 100), settled=("a",)) == ["a"], "told from the merge on"


def test_what_was_told_from_the_merge_on_counts_as_it_is() -> None:
    assert carried(fact("a", ASKED, 99), fact("answer", SENT, MERGED)) == ["a", "answer"]
    assert carried(fact("x", SENT, 100), fact("y", ASKED, 101), fact("z", SENT, 102)) == ["x", "y", "z"]
    assert carried(fact("own", ASKED, 5, "here"), fact("a", ASKED, 10), fact("own 2", SENT, 50, "here")) == [
        "own",
        "own 2",
        "a",
    ]


def test_what_is_carried_stands_before_what_happened_at_the_instant_of_the_merge() -> None:
    assert carried(fact("a", ASKED, 10), fact("own", SENT, MERGED, "here")) == ["a", "own"]
    assert carried(fact("own", ASKED, 20, "here"), fact("own 2", ASKED, 20, "here")) == ["own", "own 2"]


def test_what_is_carried_stands_in_the_order_in_which_it_was_asked() -> None:
    mails = fact("late", ASKED, 60), fact("early", ASKED, 20, "elsewhere")
    assert carried(*mails) == ["early", "late"]
    assert carried(fact("mail", ASKED, 50), fact("rings", "call.queued", 30)) == ["rings", "mail"]
    assert sorted(carried(fact("a", ASKED, 50), fact("b", ASKED, 50, "elsewhere"))) == ["a", "b"]


def test_a_call_that_still_rings_rings_on() -> None:
    queued = fact("rings", "call.queued", 10)
    assert carried(queued) == ["rings"]
    assert carried(queued, fact("again", "call.queued", 20)) == ["rings"], "since it rang first"
    assert carried(queued, fact("answered", "call.answered", 20)) == []
    assert carried(queued, fact("gone", "call.ended", 20)) == []
    assert carried(queued, fact("gone", "call.abandoned", 20)) == ["gone"], "who hung up waits for an answer"
    assert carried(queued, fact("other", "call.answered", 20, conversation="call:other")) == ["rings"]
    assert carried(fact("answered", "call.answered", 5), queued) == ["rings"]
    assert carried(queued, fact("note", "note.added", 20)) == ["rings"]
    second = fact("rings, too", "call.queued", 20, conversation="call:other")
    assert carried(queued, second) == ["rings", "rings, too"]


def test_a_wish_to_be_called_back_waits_for_the_call_whatever_else_was_answered() -> None:
    wish = fact("wish", "callback.requested", 10)
    assert carried(wish) == ["wish"]
    assert carried(wish, fact("answer", SENT, 20)) == ["wish"]
    assert carried(wish, fact("done", "callback.completed", 20)) == []
    assert carried(fact("done", "callback.completed", 5), wish) == ["wish"]
    assert carried(fact("a", ASKED, 5), fact("answer", SENT, 7), fact("done", "callback.completed", 8)) == []
    assert carried(wish, fact("answer", SENT, 20), fact("second", "callback.requested", 30)) == ["wish", "second"], (
        "the second is the oldest that no one wrote back to"
    )
    other = fact("other", "callback.requested", 15, "elsewhere"), fact("answer to it", SENT, 16, "elsewhere")
    assert carried(wish, *other, fact("answer", SENT, 20)) == ["wish", "other"]
    assert carried(wish, *other, fact("done", "callback.completed", 20, "elsewhere")) == ["wish"]


# --- cut off


def course(hub: Hub, merged_at: float) -> History:
    """The ticket's course, as if it had been merged into another one then."""
    state = hub.work.customers[CUSTOMER]
    found = history(state.tickets[0], state, hub.work.bundles[1], hub.work.reached)
    found.merged_at = START + round(merged_at * MINUTE)
    return found


def test_a_merge_ends_what_is_open_by_the_event_that_merged() -> None:
    hub = Hub(policy(next_response="1h", resolution="1h"))
    hub.play(MAIL, mail("more", 10))
    merged = course(hub, 90)
    (cut,) = cycles_of(merged, hub.work.bundles[1], frozenset({"next_response"}))["next_response"]
    assert (cut.stop, cut.stop_by, cut.kind) == (merged.merged_at, merged.moments[-1].by, "cancelled")
    merged.merged_by = "the merge"
    (cut,) = cycles_of(merged, hub.work.bundles[1], frozenset({"next_response"}))["next_response"]
    assert (cut.stop, cut.stop_by, cut.kind) == (merged.merged_at, "the merge", "cancelled")


def test_what_ended_at_the_instant_of_the_merge_ended_and_what_began_then_is_cancelled() -> None:
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, reply("answer", 90))
    (ended,) = cycles_of(course(hub, 90), hub.work.bundles[1], frozenset({"next_response"}))["next_response"]
    assert (ended.kind, ended.stop_by) == ("met", reply("answer", 90).id)
    (cut,) = cycles_of(course(hub, 89), hub.work.bundles[1], frozenset({"next_response"}))["next_response"]
    assert cut.kind == "cancelled"
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, reply("answer", 20), mail("at the merge", 90))
    _, last = cycles_of(course(hub, 90), hub.work.bundles[1], frozenset({"next_response"}))["next_response"]
    assert (last.at, last.stop, last.kind) == (START + 90 * MINUTE, START + 90 * MINUTE, "cancelled")
    assert len(cycles_of(course(hub, 89), hub.work.bundles[1], frozenset({"next_response"}))["next_response"]) == 1


# --- calls


def test_whoever_still_waits_when_the_ticket_is_resolved_waits_no_more() -> None:
    hub = Hub(policy(call_answer="1h", callback="1h"))
    hub.play(MAIL, call("one", "queued", 10, number="1"), call("two", "queued", 20, number="2"))
    hub.play(call("two answered", "answered", 25, number="2"), status("done", 30, "resolved"))
    found = cycles_of(plain(hub), hub.work.bundles[1], frozenset({"call_answer"}))["call_answer"]
    assert [((c.at - START) // MINUTE, c.kind, c.by, c.stop_by) for c in found] == [
        (10, "cancelled", call("one", "queued", 10).id, status("done", 30, "resolved").id),
        (20, "met", call("two", "queued", 20, number="2").id, call("two answered", "answered", 25, number="2").id),
    ]
    assert [c.stop for c in found] == [START + 30 * MINUTE, START + 25 * MINUTE]
    hub.play(status("open again", 40, "open"), call("three", "queued", 50, number="3"))
    found = cycles_of(plain(hub), hub.work.bundles[1], frozenset({"call_answer"}))["call_answer"]
    assert [(c.kind, c.stop_by, c.counts_closed) for c in found][2:] == [("", "", True)]
    assert found[2].stop is None
    assert [c.kind for c in found][:2] == ["cancelled", "met"]


def test_opening_a_ticket_again_ends_no_call() -> None:
    hub = Hub(policy(call_answer="1h"))
    hub.play(MAIL, status("done", 5, "resolved"), call("one", "queued", 10), status("open again", 20, "open"))
    found = cycles_of(plain(hub), hub.work.bundles[1], frozenset({"call_answer"}))["call_answer"]
    assert [(c.kind, c.stop) for c in found] == [("", None)]


def plain(hub: Hub) -> History:
    state = hub.work.customers[CUSTOMER]
    return history(state.tickets[0], state, hub.work.bundles[1], hub.work.reached)
