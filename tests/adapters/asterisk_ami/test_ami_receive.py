"""Events of Asterisk to the hub's: each kind once, with ids that a repeat or a restart does not change."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.asterisk_ami.calls import CallMemory, Known
from adapters.asterisk_ami.protocol import Message, MessageParser
from adapters.asterisk_ami.receive import AsteriskAdapter, occurred_at
from adapters.asterisk_ami.vendor import IGNORED, RULES, kind
from adapters.contract import Account, Delivery
from domain.errors import Reason, Unreadable
from hub.local.ami_peer import abandoned_call, answered_call, event
from schemas.records import CallFacts, InteractionReceived
from schemas.vocabulary import TYPES
from tests.adapters.asterisk_ami.ami_fakes import ACCOUNT, NOW, NUMBER, SECOND, Blobs, alone, block, read
from tests.shared import requires_shared, shared_path

ABANDONED = abandoned_call(
    "1.1", NUMBER, "support", offered=NOW, queued=NOW + SECOND, gave_up=NOW + 31 * SECOND, dialled="100"
)
ANSWERED = answered_call(
    "2.1", NUMBER, "support", "Agent/7", offered=NOW, queued=NOW, answered=NOW + 12 * SECOND, ended=NOW + 72 * SECOND
)


def facts(found: InteractionReceived) -> CallFacts:
    assert isinstance(found.facts, CallFacts)
    return found.facts


def only(found: list[InteractionReceived]) -> InteractionReceived:
    assert len(found) == 1, [one.type for one in found]
    return found[0]


def test_a_caller_who_gives_up_in_the_queue() -> None:
    offered, queued, abandoned, ended, end_again = read(*ABANDONED)
    assert [offered.type, queued.type, abandoned.type] == ["call.offered", "call.queued", "call.abandoned"]
    assert abandoned.occurred_at == NOW + 31 * SECOND
    assert facts(abandoned).waited == 30 * SECOND
    assert facts(abandoned).queue == "support"
    assert abandoned.actor is not None
    assert abandoned.actor.kind == "customer"
    assert (abandoned.channel, abandoned.direction) == ("voice", "inbound")
    assert offered.attributes == {"dialled": "100"}
    assert facts(ended).cause == "Normal Clearing"
    assert (ended.id, ended.type) == (end_again.id, "call.ended"), "Hangup and LINKEDID_END tell of one end"


def test_every_event_of_a_call_names_the_phone_and_the_call() -> None:
    for one in read(*ABANDONED):
        assert [(point.kind, point.value) for point in one.contact_points] == [
            ("phone", NUMBER),
            ("asterisk_call", "pbx:1.1"),
        ]
        assert [point.verified for point in one.contact_points] == [False, True]
        assert one.conversation == "asterisk:pbx:1.1"
        assert one.source == "asterisk-ami/pbx"


def test_a_caller_who_is_answered_from_the_queue() -> None:
    found = read(*ANSWERED)
    assert [one.type for one in found] == [
        "call.offered",
        "call.queued",
        "call.ringing",
        "call.answered",
        "call.wrapped_up",
        "call.ended",
        "call.ended",
    ], "the dialling that the queue does itself adds nothing; leaving the queue is no end; an agent's leg neither"
    answered, done = found[3], found[4]
    assert answered.actor is not None
    assert (answered.actor.kind, answered.actor.id) == ("agent", "Agent/7")
    assert (answered.actor.team, answered.actor.organisation) == ("desk", "vendor-a")
    assert facts(answered).waited == 12 * SECOND
    assert facts(done).talked == 60 * SECOND
    assert done.attributes == {"ended_by": "caller"}
    assert {point.value for one in found for point in one.contact_points} == {NUMBER, "pbx:2.1"}


def test_a_repeat_has_the_same_id_whenever_it_comes_and_whatever_is_remembered() -> None:
    first = [one.id for one in read(*ANSWERED)]
    assert [one.id for one in read(*ANSWERED, received_at=NOW + 900 * SECOND)] == first
    twice = read(*(block for block in ANSWERED for _ in range(2)))
    assert [one.id for one in twice] == [one for one in first for _ in range(2)]
    forgotten = [one.id for block in ANSWERED for one in alone(block)]
    assert set(first) <= set(forgotten)
    assert set(forgotten) == set(first), "after a restart the queue's dialling is told too, under the queue's own ids"


def test_without_timestamps_ids_do_not_depend_on_arrival_and_instants_do() -> None:
    bare = [re.sub(rb"Timestamp: .*\r\n", b"", one) for one in ABANDONED]
    first, later = read(*bare), read(*bare, received_at=NOW + 60 * SECOND)
    assert first[0].occurred_at == NOW
    keep = [0, 2, 3, 4]  # a caller can wait twice, so that a visit of the queue is told apart by when it began
    assert [first[n].id for n in keep] == [later[n].id for n in keep]


def test_holding_twice_is_two_holds_and_a_repeated_hold_is_one() -> None:
    hold, unhold = (block(name, leg="1.9", stamped="") for name in ("Hold", "Unhold"))
    found = read(block("Newchannel"), hold, hold, unhold, unhold, hold, unhold)[1:]
    assert [one.type.removeprefix("call.") for one in found] == [
        "held",
        "held",
        "resumed",
        "resumed",
        "held",
        "resumed",
    ]
    ids = [one.id for one in found]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 4


def test_waiting_twice_in_one_queue_is_two_waits() -> None:
    join, leave = (block(name, stamped="", Queue="support") for name in ("QueueCallerJoin", "QueueCallerLeave"))
    found = read(join, join, leave, join)
    assert found[0].id == found[1].id != found[2].id


def test_only_the_company_holds_a_customer() -> None:
    assert read(block("Newchannel"), block("Hold"))[1:] == []
    outbound = Account(tenant="default", name="pbx", region="DE", options={"internal_contexts": "desk, lab"})
    held = read(block("Newchannel", Context="desk", Exten="030901820"), block("Hold"), account=outbound)[1]
    assert (held.type, held.direction) == ("call.held", "outbound")


def test_who_held_is_the_agent_who_answered() -> None:
    held = read(*ANSWERED[:8], block("Hold", leg="2.19", call="2.1", Channel="PJSIP/agent-0000002b"))[-1]
    assert held.actor is not None
    assert held.actor.id == "Agent/7"
    unknown = only(alone(block("Hold", leg="2.19", call="2.1", Channel="PJSIP/agent-0000002b")))
    assert unknown.actor is not None
    assert unknown.actor.id == "PJSIP/agent"


@pytest.mark.parametrize("number", ["anonymous", "Restricted", "<unknown>", "", "unavailable", "401", "*30402", "s"])
def test_what_is_no_phone_number_identifies_nobody(number: str) -> None:
    offered = only(read(block("Newchannel", CallerIDNum=number)))
    assert [(point.kind, point.value) for point in offered.contact_points] == [("asterisk_call", "pbx:1.1")]


@pytest.mark.parametrize("number", ["+49 30 901820", "030901820", "4930901820", "0049 30 901820"])
def test_a_number_is_normalised_with_the_accounts_region(number: str) -> None:
    point = only(read(block("Newchannel", CallerIDNum=number))).contact_points[0]
    assert (point.kind, point.value, point.as_given) == ("phone", NUMBER, number)


def test_an_agents_leg_never_lends_its_number_to_the_customer() -> None:
    after_restart = only(alone(block("Hold", leg="1.9", CallerIDNum="+4930901821")))
    assert [point.kind for point in after_restart.contact_points] == ["asterisk_call"]


def test_a_number_that_an_analogue_line_tells_later_is_on_what_follows() -> None:
    legs = block("Newchannel", CallerIDNum=""), block("NewCallerid"), block("QueueCallerJoin", CallerIDNum="")
    offered, queued = read(*legs)
    assert [point.kind for point in offered.contact_points] == ["asterisk_call"]
    assert [point.value for point in queued.contact_points] == [NUMBER, "pbx:1.1"]


def test_direction_comes_from_where_the_call_was_dialled() -> None:
    account = Account(tenant="default", name="pbx", region="DE", options={"internal_contexts": "desk"})
    leg = {"Context": "desk", "CallerIDNum": "401", "Channel": "PJSIP/401-00000001"}
    offered, answered, ended = read(
        block("Newchannel", Exten="030901820", **leg),
        block("DialEnd", DestUniqueid="1.2", DestChannel="PJSIP/trunk-00000002", DialStatus="ANSWER", **leg),
        block("Hangup", **leg),
        account=account,
    )
    for one in (offered, answered, ended):
        assert one.direction == "outbound"
        assert one.contact_points[0].value == NUMBER
    assert answered.actor is not None
    assert (answered.actor.kind, answered.actor.id) == ("agent", "PJSIP/401")
    assert read(block("Newchannel", Exten="402", **leg), block("Hangup", **leg), account=account) == []


def test_a_call_dialled_straight_to_a_phone_is_answered_without_a_queue() -> None:
    to = {"DestUniqueid": "1.2", "DestChannel": "PJSIP/401-00000001"}
    found = read(
        block("Newchannel"),
        block("DialBegin", **to),
        block("DialBegin", DestUniqueid="1.3", DestChannel="Local/401@desk-00000001;1"),
        block("DialEnd", DialStatus="NOANSWER", **to),
        block("DialEnd", DialStatus="ANSWER", **to),
    )
    assert [one.type for one in found] == ["call.offered", "call.ringing", "call.answered"]
    assert found[2].actor is not None
    assert found[2].actor.id == "PJSIP/401"


def test_transfers_concern_the_customers_call_and_failed_ones_nobody() -> None:
    ids = {"Uniqueid": "", "Linkedid": ""}
    legs = ids | {"TransfererUniqueid": "2.19", "TransfererLinkedid": "2.1", "TransfereeUniqueid": "2.1"}
    legs |= {"TransfereeLinkedid": "2.1", "Extension": "900"}
    moved = read(*ANSWERED[:8], *(block("BlindTransfer", Result=how, **legs) for how in ("Success", "Fail")))[4:]
    assert [(one.type, facts(one).transferred_to) for one in moved] == [("call.transferred", "900")]
    assert moved[0].conversation == "asterisk:pbx:2.1"
    assert moved[0].contact_points[0].value == NUMBER
    assert moved[0].actor is not None
    assert moved[0].actor.id == "Agent/7"
    attended = ids | {"OrigTransfererUniqueid": "2.19", "OrigTransfererLinkedid": "2.1", "Result": "Success"}
    attended |= {"SecondTransfererUniqueid": "3.1", "SecondTransfererLinkedid": "3.1", "DestType": "Bridge"}
    other = only(read(block("AttendedTransfer", SecondTransfererConnectedLineNum="402", **attended)))
    assert (other.conversation, facts(other).transferred_to) == ("asterisk:pbx:2.1", "402")


def test_parking_holds_and_an_extension_takes_up_again() -> None:
    parked = {"Uniqueid": "", "Linkedid": "", "ParkeeUniqueid": "1.1", "ParkeeLinkedid": "1.1"}
    found = read(block("Newchannel"), block("ParkedCall", **parked), block("UnParkedCall", **parked))
    assert [one.type for one in found[1:]] == ["call.held", "call.resumed"]
    assert found[1].contact_points[0].value == NUMBER


def test_a_message_left_by_a_caller_is_told_and_a_mailbox_that_only_changed_is_not() -> None:
    caller = block("Newchannel")
    box = {"Mailbox": "401@default", "Waiting": "1"}
    assert read(caller, block("MessageWaiting", New="1", Old="0", **box))[1].type == "call.voicemail_left"
    assert read(caller, block("MessageWaiting", New="0", Old="1", **box))[1:] == []
    assert alone(event("MessageWaiting", "call", NOW, *box.items())) == []


def test_an_event_the_hub_has_no_word_for_keeps_its_payload() -> None:
    body = block("Sparkle", Colour="blue")
    first, again, other = read(body, body, block("Sparkle", Colour="red"))
    assert first.type == "interaction.unmapped"
    assert first.attributes == {"asterisk_event": "Sparkle"}
    assert first.raw is not None
    assert first.raw.inline == body
    assert first.id == again.id != other.id
    assert alone(event("Sparkle", "system", NOW, ("Colour", "blue"))) == []


def test_a_long_payload_goes_to_the_blob_store() -> None:
    blobs, body = Blobs(), block("Sparkle", Colour="b" * 40_000)
    kept = only(AsteriskAdapter().read(Delivery(body, NOW), ACCOUNT, blobs)).raw
    assert kept is not None
    assert kept.reference is not None
    assert blobs.get(kept.reference) == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"Colour: blue\r\n\r\n", Reason.NOT_VALID),
        (event("AgentConnect", "agent", NOW, ("Queue", "support")), Reason.NOT_VALID),
        (b"Event: Hangup\r\nUniqueid: 1.1\r\n", Reason.CUT_OFF),
        (b"Event: " + b"x" * 100_000, Reason.TOO_LARGE),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, reason: Reason) -> None:
    with pytest.raises(Unreadable) as caught:
        alone(body)
    assert caught.value.reason is reason


def cel(**fields: str) -> Message:
    text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return MessageParser().feed(f"Event: CEL\r\n{text}\r\n".encode())[0]


def test_cels_local_time_is_read_in_the_accounts_time_zone() -> None:
    summer = cel(EventTime="2014-08-27 21:06:32")
    berlin = Account(tenant="default", name="pbx", options={"timezone": "Europe/Berlin"})
    assert occurred_at(summer, ACCOUNT) == 1409173592 * SECOND
    assert occurred_at(summer, berlin) == 1409166392 * SECOND
    assert occurred_at(cel(EventTime="2014-08-27 21:06:32", Timestamp="1409166392.000210"), berlin) == 1409166392000210
    assert occurred_at(cel(EventTime="yesterday"), ACCOUNT) is None
    assert occurred_at(cel(Timestamp="never"), ACCOUNT) is None


@pytest.mark.parametrize(("stamp", "expected"), [("12", 12_000_000), ("12.5", 12_500_000), ("12.0000001", 12_000_000)])
def test_timestamps_are_exact(stamp: str, expected: int) -> None:
    assert occurred_at(cel(Timestamp=stamp), ACCOUNT) == expected


def test_the_memory_of_calls_is_bounded() -> None:
    memory = CallMemory(ACCOUNT, limit=3)
    for number in range(10):
        read(block("Newchannel", leg=f"{number}.1", call=f"{number}.1"), memory=memory)
    assert len(memory) == 3
    assert (
        read(block("Hangup", leg="9.1", call="9.1", CallerIDNum=""), memory=memory)[0].contact_points[0].value == NUMBER
    )


@given(st.builds(Known, *(st.text() for _ in Known.__struct_fields__)))
def test_what_is_known_travels_in_headers(known: Known) -> None:
    assert Known.of(known.headers()) == known


def test_the_tables_speak_the_vocabulary_and_do_not_overlap() -> None:
    assert {rule.type for rule in RULES.values()} <= TYPES.keys()
    assert not RULES.keys() & IGNORED.keys()


@requires_shared
def test_the_tables_name_events_and_fields_that_asterisk_documents() -> None:
    documented = {path.stem.lower(): path for path in shared_path("fixtures", "voice", "asterisk-docs").rglob("*.md")}
    beyond = {"cel linkedid_end", "mixmonitorstop"}
    for name in RULES.keys() - beyond:
        fields = set(re.findall(r"^(\w[\w-]*): <value>", documented[name].read_text(), re.MULTILINE))
        assert f"{RULES[name].prefix}Uniqueid" in fields, name
        assert f"{RULES[name].prefix}Linkedid" in fields, name
        if RULES[name].key == "agent":
            assert "DestUniqueid" in fields, name


@requires_shared
@pytest.mark.parametrize(
    ("session", "expected"),
    [
        # The number 202 dials the code that logs an agent in: a call until internal_contexts says that it is none.
        ("agent_loggued_in", {"call.offered": 1, "call.ended": 1}),
        ("agent_not_in_pause", {"call.offered": 1, "call.ended": 2}),
        # A program calls 259 and connects it with 254: one call, whatever its six channels. Two events are the
        # system's own and name a leg.
        ("originate_with_events", {"call.offered": 1, "call.ended": 2, "interaction.unmapped": 2}),
    ],
)
def test_captured_sessions_of_asterisk_11(session: str, expected: dict[str, int]) -> None:
    body = shared_path("fixtures", "voice", "asterisk-ami-panoramisk", f"{session}.ami.txt").read_bytes()
    blocks = [
        message.raw for message in MessageParser().feed(body + b"\n\n") if b"missing in capture" not in message.raw
    ]
    found = read(*blocks)
    counts = {name: sum(one.type == name for one in found) for name in expected}
    assert counts == expected
    assert len(found) == sum(expected.values())
    assert len({one.conversation for one in found} - {one.conversation for one in found if "unm" in one.type}) <= 1
    ends = {one.id for one in found if one.type == "call.ended"}
    assert len(ends) == 1
    assert kind(MessageParser().feed(blocks[0] + b"\n")[0]) in ("", "newchannel")


def test_asterisk_11_without_linkedid() -> None:
    old = {"Linkedid": ""}
    found = read(
        block("Newchannel", **old),
        block("Join", Queue="support", **old),
        block("Newchannel", leg="1.2", Exten="", Channel="SIP/7-00000002", CallerIDNum="", **old),
        event(
            "AgentCalled",
            "agent",
            NOW,
            ("Queue", "support"),
            ("DestinationChannel", "SIP/7-00000002"),
            ("Uniqueid", "1.1"),
        ),
        block("Leave", Queue="support", **old),
        block("AgentConnect", Member="SIP/7", MemberName="Agent/7", BridgedChannel="1.2", HoldTime="4", **old),
        block("Hold", leg="1.2", Status="On", Linkedid="1.1"),
        block("Hold", leg="1.2", Status="Off", **old),
        block("Newchannel", leg="1.3", Exten="", Channel="SIP/8-00000003", CallerIDNum="", **old),
        block("Hangup", leg="1.3", Channel="SIP/8-00000003", **old),
        block("Hangup", leg="1.2", Channel="SIP/7-00000002", **old),
        block("Hangup", **old),
    )
    assert [one.type.removeprefix("call.") for one in found] == [
        "offered", "queued", "ringing", "answered", "held", "resumed", "ended",
    ]  # fmt: skip
    assert {one.conversation for one in found} == {"asterisk:pbx:1.1"}
    assert all(one.contact_points[0].value == NUMBER for one in found)
    assert alone(block("Hangup", leg="1.2", **old)) == [], "a leg of unknown call ends nothing"


def test_asterisk_11_tells_by_cel_whose_leg_it_was() -> None:
    def told(name: str, linked: str) -> bytes:
        return event("CEL", "call", NOW, ("EventName", name), ("UniqueID", "1.2"), ("LinkedID", linked))

    found = read(
        block("Newchannel", Linkedid=""),
        block("Newchannel", leg="1.2", Exten="", Linkedid=""),
        told("CHAN_START", "1.2"),
        told("ANSWER", "1.1"),
        block("Hold", leg="1.2", Status="On", Linkedid=""),
        block("Hangup", leg="1.2", Linkedid=""),
    )
    assert [(one.type, one.conversation) for one in found[1:]] == [("call.held", "asterisk:pbx:1.1")]


def test_a_local_leg_that_is_taken_out_does_not_end_the_call() -> None:
    local = {"Channel": "Local/401@desk-00000001;1", "Exten": "030901820"}
    end = event("CEL", "cel", NOW, ("EventName", "LINKEDID_END"), ("UniqueID", "1.2"), ("LinkedID", "1.1"))
    found = read(block("Newchannel", **local), block("Hangup", **local), end)
    assert [(one.type, one.direction) for one in found] == [("call.offered", "outbound"), ("call.ended", "outbound")]


def test_legs_of_asterisks_own_are_no_calls() -> None:
    assert read(block("Newchannel", Channel="Message/ast_msg_queue")) == []
