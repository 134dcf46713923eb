"""Calls and chats measured from what real sources tell: waiting, answer, talk, hold, wrap-up, and who passed it on."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.contacts import Contact, concerns, measure
from domain.repeats import NOBODY, Owner
from hub.local.ami_peer import abandoned_call, answered_call, event
from schemas.records import Actor, CallFacts, TimelineEntryAdded
from schemas.vocabulary import TYPES
from tests.adapters.asterisk_ami.ami_fakes import NOW, NUMBER, SECOND, block
from tests.domain.calls import agent, asterisk, connect, queue, stamp, told

ANSWERED = answered_call(
    "2.1", NUMBER, "support", "Agent/7", offered=NOW, queued=NOW, answered=NOW + 12 * SECOND, ended=NOW + 72 * SECOND
)
ANNA = Actor("agent", "anna", "first line", "vendor-a")
BEN = Actor("agent", "ben", "second line", "own")


def seconds(contact: Contact) -> tuple[int | None, ...]:
    """Waited, talked, held and wrapped up, in seconds."""
    some = (contact.waited, contact.talked, contact.held, contact.wrapped_up)
    return tuple(None if each is None else each // SECOND for each in some)


def only(entries: list[TimelineEntryAdded]) -> Contact:
    (found,) = measure(entries)
    return found


def test_asterisk_a_caller_who_gives_up() -> None:
    gone = only(
        asterisk(abandoned_call("1.1", NUMBER, "support", offered=NOW, queued=NOW + SECOND, gave_up=NOW + 31 * SECOND))
    )
    assert (gone.outcome, gone.queue, seconds(gone)) == ("abandoned", "support", (30, None, None, None))
    assert (gone.offered_at, gone.queued_at, gone.ended_at) == (NOW, NOW + SECOND, NOW + 31 * SECOND)
    assert (gone.owner, gone.by_vendor) == (NOBODY, ())


def test_asterisk_a_caller_who_is_answered() -> None:
    """Asterisk tells when the agent's part ends, never when the work after the call does."""
    found = only(asterisk(ANSWERED))
    assert (found.outcome, found.queue, seconds(found)) == ("answered", "support", (12, 60, None, None))
    assert found.owner == Owner("vendor-a", "desk", "Agent/7")
    assert (found.answered_at, found.ended_at, found.transferred) == (NOW + 12 * SECOND, NOW + 72 * SECOND, False)


def test_asterisk_hold_is_no_talk() -> None:
    holds = [
        event(name, "call", NOW + at * SECOND, ("Channel", "PJSIP/agent-0000002b"), ("Uniqueid", "2.19"),
              ("Linkedid", "2.1"))
        for name, at in (("Hold", 20), ("Unhold", 30), ("Hold", 40), ("Unhold", 45))
    ]  # fmt: skip
    found = only(asterisk([*ANSWERED[:8], *holds, *ANSWERED[8:]]))
    assert seconds(found) == (12, 45, 15, None)


def test_asterisk_a_blind_transfer_into_another_queue() -> None:
    """All of it is told of the caller's own leg; the first agent's part ends where the second queue begins."""
    caller = {"Uniqueid": "2.1", "Linkedid": "2.1", "Channel": "PJSIP/trunk-0000002a"}

    def later(name: str, at: int, **fields: str) -> bytes:
        return event(name, "agent", NOW + at * SECOND, *{**caller, "CallerIDNum": NUMBER, **fields}.items())

    passed = event(
        "BlindTransfer", "call", NOW + 50 * SECOND, ("Result", "Success"), ("TransfererUniqueid", "2.19"),
        ("TransfererLinkedid", "2.1"), ("TransfererChannel", "PJSIP/agent-0000002b"),
        ("TransfereeUniqueid", "2.1"), ("TransfereeLinkedid", "2.1"), ("Extension", "200"),
    )  # fmt: skip
    member = {"MemberName": "Agent/8", "Queue": "billing"}
    done = later("AgentComplete", 50, Queue="support", MemberName="Agent/7", HoldTime="12", TalkTime="38")
    more = [
        later("QueueCallerJoin", 51, Queue="billing"),
        later("AgentConnect", 58, **member, DestUniqueid="2.20", HoldTime="7"),
        later("AgentComplete", 90, **member, DestUniqueid="2.20", HoldTime="7", TalkTime="32"),
        later("Hangup", 90, Cause="16"),
    ]
    first, second = measure(asterisk([*ANSWERED[:8], passed, done, *more]))
    assert (first.queue, first.outcome, seconds(first)) == ("support", "answered", (12, 38, None, None))
    assert (first.transferred, first.owner.person, first.handed_to.person) == (True, "Agent/7", "Agent/8")
    assert (second.began, second.queue, seconds(second)) == ("transferred", "billing", (7, 32, None, None))
    assert (second.number, second.transferred, second.handed_to) == (2, False, NOBODY)


def connect_transfer(folder: Path) -> list[TimelineEntryAdded]:
    """A caller waits 20 s, talks 100 s to an agent of whom 30 s on hold, is passed on and answered after 15 s more."""
    at = {name: NOW + second * SECOND for name, second in (
        ("in", 0), ("q1", 5), ("a1", 25), ("t", 120), ("d1", 125), ("w1", 165), ("q2", 121), ("a2", 136), ("d2", 200),
        ("w2", 210),
    )}  # fmt: skip
    one = {"contactId": "c-1"}
    two = {"contactId": "c-2", "initialContactId": "c-1", "previousContactId": "c-1", "initiationMethod": "TRANSFER"}
    q1, q2 = queue("support", at["q1"]), queue("billing", at["q2"])
    return connect(
        folder,
        ("INITIATED", {**one, "initiationTimestamp": stamp(at["in"])}),
        ("QUEUED", {**one, **q1}),
        ("CONNECTED_TO_AGENT", {**one, **q1, **agent("a-1", at["a1"])}),
        ("INITIATED", {**two, "initiationTimestamp": stamp(at["t"])}),
        ("DISCONNECTED", {**one, **q1, **agent("a-1", at["a1"], None, 30.0), "disconnectTimestamp": stamp(at["d1"])}),
        ("QUEUED", {**two, **q2}),
        ("CONNECTED_TO_AGENT", {**two, **q2, **agent("a-2", at["a2"])}),
        ("COMPLETED", {**one, **q1, **agent("a-1", at["a1"], at["w1"], 30.0), "disconnectTimestamp": stamp(at["d1"])}),
        ("DISCONNECTED", {**two, **q2, **agent("a-2", at["a2"]), "disconnectTimestamp": stamp(at["d2"])}),
        ("COMPLETED", {**two, **q2, **agent("a-2", at["a2"], at["w2"]), "disconnectTimestamp": stamp(at["d2"])}),
    )


def test_amazon_connect_a_transfer_is_a_contact_of_its_own_and_one_conversation(tmp_path: Path) -> None:
    entries = connect_transfer(tmp_path)
    assert {entry.conversation for entry in entries} == {"amazon-connect:c-1"}
    first, second = measure(entries)
    assert (first.queue, seconds(first), first.by_vendor) == ("support", (20, 70, 30, 40), ("held",))
    assert (first.transferred, first.owner.person, first.handed_to.person) == (True, "a-1", "a-2")
    assert (second.began, second.queue, seconds(second)) == ("transferred", "billing", (15, 64, None, 10))


def test_amazon_connect_a_call_back_instead_of_waiting(tmp_path: Path) -> None:
    back = {"contactId": "c-2", "initialContactId": "c-1", "initiationMethod": "CALLBACK"}
    q1, q2 = queue("support", NOW), queue("support", NOW + 10 * SECOND)
    served = agent("a-1", NOW + 300 * SECOND)
    end = {"disconnectTimestamp": stamp(NOW + 400 * SECOND), "connectedToSystemTimestamp": stamp(NOW + 310 * SECOND)}
    waiting, called = measure(
        connect(
            tmp_path,
            ("INITIATED", {"contactId": "c-1", "initiationTimestamp": stamp(NOW)}),
            ("QUEUED", {"contactId": "c-1", **q1}),
            ("INITIATED", {**back, "initiationTimestamp": stamp(NOW + 10 * SECOND)}),
            ("DISCONNECTED", {"contactId": "c-1", **q1, "disconnectTimestamp": stamp(NOW + 12 * SECOND)}),
            ("QUEUED", {**back, **q2}),
            ("CONNECTED_TO_AGENT", {**back, **q2, **served}),
            ("DISCONNECTED", {**back, **q2, **served, **end}),
        )
    )
    assert (waiting.outcome, seconds(waiting)) == ("called_back", (10, None, None, None)), "it was not abandoned"
    assert (called.began, called.outcome, seconds(called)) == ("called_back", "answered", (290, 100, None, None))


def test_amazon_connect_tells_sums_where_events_are_missing(tmp_path: Path) -> None:
    """Events come on a best-effort basis: of this call only the last arrived."""
    served = agent("a-1", NOW + 30 * SECOND, NOW + 100 * SECOND, 10.0)
    found = only(
        connect(
            tmp_path,
            ("COMPLETED", {"contactId": "c-1", **queue("support", NOW), **served,
                           "disconnectTimestamp": stamp(NOW + 90 * SECOND)}),
        )
    )  # fmt: skip
    assert (found.outcome, found.queue, found.owner.person) == ("answered", "support", "a-1")
    assert (seconds(found)[:3], found.by_vendor) == ((30, 50, 10), ("answered_at", "waited", "held", "talked"))


def test_a_queue_left_for_another_is_a_flow_out() -> None:
    left, answered = measure(
        [
            told("call.offered", 0),
            told("call.queued", 1, queue="support"),
            told("call.queued", 41, queue="overflow"),
            told("call.answered", 50, queue="overflow", who=ANNA),
            told("call.ended", 90),
        ]
    )
    assert (left.outcome, left.queue, seconds(left)) == ("left", "support", (40, None, None, None))
    assert (answered.began, answered.queue, seconds(answered)) == ("moved", "overflow", (9, 40, None, None))


def test_a_call_that_waits_and_one_that_no_queue_saw() -> None:
    assert only([told("call.queued", 1, queue="support")]).outcome == "waiting"
    direct = only([told("call.offered", 0), told("call.answered", 6, who=ANNA), told("call.ended", 36)])
    assert (direct.queue, direct.outcome, seconds(direct)) == (None, "answered", (None, 30, None, None))
    assert only([told("call.offered", 0), told("call.ended", 9)]).outcome == "unanswered"
    voicemail = [told("call.queued", 1, queue="support"), told("call.ended", 61)]
    assert only(voicemail).outcome == "left"


def test_who_gives_up_after_the_answer_did_not_abandon() -> None:
    late = [told("call.queued", 0), told("call.answered", 9, who=ANNA), told("call.abandoned", 30)]
    assert (only(late).outcome, only(late).ended_at) == ("answered", NOW + 30 * SECOND)
    crossed = [told("call.queued", 0), told("call.abandoned", 9), told("call.answered", 10, who=ANNA)]
    assert (only(crossed).outcome, only(crossed).owner) == ("abandoned", NOBODY)


def test_a_conversation_that_begins_again_is_another_contact() -> None:
    first, second = measure(
        [told("call.offered", 0), told("call.ended", 9), told("call.offered", 3600), told("call.ended", 3609)]
    )
    assert (first.began, second.began) == ("offered", "offered")


def test_a_transfer_that_names_no_leg_takes_the_callers_along() -> None:
    first, second = measure(
        [
            told("call.queued", 0, queue="a", leg="1"),
            told("call.answered", 5, leg="1", who=ANNA),
            told("call.transferred", 50),
            told("call.answered", 58, leg="1", who=BEN),
            told("call.ended", 99, leg="1"),
        ]
    )
    assert (first.ended_at, first.handed_to) == (NOW + 50 * SECOND, Owner("own", "second line", "ben"))
    assert (second.answered_at, second.ended_at, second.owner.person) == (NOW + 58 * SECOND, NOW + 99 * SECOND, "ben")


def test_a_source_with_a_fast_clock_is_cut_off_at_its_arrival() -> None:
    fast = msgspec.structs.replace(told("call.ended", 500), received_at=NOW + 60 * SECOND)
    assert only([told("call.answered", 10, who=ANNA), fast]).talked == 50 * SECOND


def test_only_calls_and_chats_are_measured() -> None:
    assert measure([]) == []
    assert measure([told("email.received", 0), told("call.recorded", 9)]) == []
    assert {name for name in TYPES if concerns(name)} == {
        name for name in TYPES if name.startswith(("call", "chat."))
    }, "what the tables' index and statements select"


STEPS = st.sampled_from(
    [
        "call.offered",
        "call.queued",
        "call.ringing",
        "call.answered",
        "call.held",
        "call.resumed",
        "call.transferred",
        "call.abandoned",
        "callback.requested",
        "callback.attempted",
        "callback.completed",
        "call.ended",
        "call.wrapped_up",
    ]
)
FACTS = st.builds(
    CallFacts,
    leg=st.sampled_from([None, "1", "2"]),
    queue=st.sampled_from([None, "support", "billing"]),
    waited=st.sampled_from([None, 5 * SECOND]),
    talked=st.sampled_from([None, 60 * SECOND]),
    held=st.sampled_from([None, 10 * SECOND]),
)
TOLD = st.lists(
    st.builds(
        lambda kind, at, who, call: msgspec.structs.replace(told(kind, at, who=who), call=call),
        STEPS,
        st.integers(0, 20),
        st.sampled_from([None, ANNA, BEN]),
        st.none() | FACTS,
    ),
    max_size=14,
    unique_by=lambda entry: entry.id,
)


@given(TOLD, st.randoms(use_true_random=False))
def test_late_and_doubled_entries_change_nothing(entries: list[TimelineEntryAdded], chance: random.Random) -> None:
    doubled = entries + chance.choices(entries, k=len(entries) // 2) if entries else []
    chance.shuffle(doubled)
    assert measure(doubled) == measure(entries)


@given(TOLD)
def test_what_is_measured_makes_sense(entries: list[TimelineEntryAdded]) -> None:
    contacts = measure(entries)
    assert [contact.number for contact in contacts] == list(range(1, len(contacts) + 1))
    for contact in contacts:
        for length in (contact.waited, contact.talked, contact.held, contact.wrapped_up):
            assert length is None or length >= 0
        assert (contact.answered_at is not None) == (contact.outcome == "answered")
        assert contact.outcome == "answered" or contact.owner == NOBODY
        if contact.talked is not None and contact.ended_at is not None and contact.answered_at is not None:
            whole = max(0, contact.ended_at - contact.answered_at)
            assert contact.talked + (contact.held or 0) == whole


def test_a_block_of_asterisk_without_time_is_measured_by_its_arrival() -> None:
    found = measure(asterisk([block("Newchannel", stamped=""), block("Hangup", stamped="")]))
    assert [contact.outcome for contact in found] == ["unanswered"]
