"""Amazon Connect's contact events: what each means, when it happened, and whose it is."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.amazon_connect.receive import AmazonConnect
from adapters.contract import Account, Delivery
from domain.errors import Reason, SignatureRejected, Unreadable
from runtime.blobs import FolderBlobs
from schemas.codec import Codec
from schemas.records import CallFacts, ContactPoint, InteractionReceived
from schemas.vocabulary import CHANNELS, DIRECTIONS, TYPES
from tests.shared import requires_shared, shared_path

RECEIVED = 1_800_000_000_000_000
ACCOUNT = Account(tenant="default", name="prod", secret="token", organisation="vendor-a", team="first line")
FOLDER = shared_path("fixtures", "voice", "amazon-connect-docs")
SAMPLES = sorted(FOLDER.glob("contact-events-*.json"))
BROKEN = sorted(FOLDER.glob("*.invalid-json.txt"))
INSTANCE = "arn:aws:connect:eu-central-1:111122223333:instance/i-1"
AGENT = {"agentArn": f"{INSTANCE}/agent/a-7", "connectedToAgentTimestamp": "2026-03-02T09:05:00Z"}
QUEUE = {"queueArn": f"{INSTANCE}/queue/q-1", "enqueueTimestamp": "2026-03-02T09:01:00Z"}
CALLER = {"type": "TELEPHONE_NUMBER", "address": "+4930901820"}


def read(body: object, folder: Path) -> list[InteractionReceived]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AmazonConnect().read(Delivery(body=data, received_at=RECEIVED), ACCOUNT, FolderBlobs(folder))


def one(folder: Path, event_type: str, **detail: object) -> InteractionReceived:
    told = {"contactId": "c-1", "channel": "VOICE", "eventType": event_type, "initiationMethod": "INBOUND", **detail}
    [event] = read({"id": "e-1", "detail-type": "Amazon Connect Contact Event", "detail": told}, folder)
    return event


@requires_shared
@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_the_vendors_samples_give_one_event_each(file: Path, tmp_path: Path) -> None:
    [event] = read(file.read_bytes(), tmp_path)
    assert event.type in TYPES
    assert event.channel in CHANNELS
    assert event.direction in DIRECTIONS
    assert event.contact_points
    assert Codec().decode(Codec().encode(event)) == event
    assert event.raw is not None
    assert event.raw.inline is not None
    assert read(event.raw.inline, tmp_path) == [event]


@requires_shared
@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_samples_that_are_no_json_are_unreadable(file: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        read(file.read_bytes(), tmp_path)
    assert caught.value.reason == Reason.NOT_JSON


@requires_shared
def test_there_are_samples() -> None:
    assert len(SAMPLES) == 4
    assert len(BROKEN) > 30


@requires_shared
def test_timestamps_beside_the_detail_count_too(tmp_path: Path) -> None:
    [event] = read((FOLDER / "contact-events-bd08ba.json").read_bytes(), tmp_path)
    assert event.type == "call.ended"
    assert event.occurred_at == 1_628_097_517_000_000
    assert event.facts is not None
    assert isinstance(event.facts, CallFacts)
    assert event.facts.talked is None  # the sample's call ends before it is answered


@pytest.mark.parametrize(
    ("event_type", "detail", "word"),
    [
        ("INITIATED", {}, "call.offered"),
        ("INITIATED", {"initiationMethod": "TRANSFER"}, "call.transferred"),
        ("INITIATED", {"initiationMethod": "CALLBACK"}, "callback.requested"),
        ("QUEUED", {"queueInfo": QUEUE}, "call.queued"),
        ("CONNECTED_TO_AGENT", {"queueInfo": QUEUE, "agentInfo": AGENT}, "call.answered"),
        ("DISCONNECTED", {"queueInfo": QUEUE}, "call.abandoned"),
        ("DISCONNECTED", {"queueInfo": QUEUE, "initiationMethod": "TRANSFER"}, "call.abandoned"),
        ("DISCONNECTED", {"queueInfo": QUEUE, "initiationMethod": "OUTBOUND"}, "call.ended"),
        ("DISCONNECTED", {"queueInfo": QUEUE, "agentInfo": AGENT}, "call.ended"),
        ("DISCONNECTED", {}, "call.ended"),
        (
            "COMPLETED",
            {"agentInfo": {**AGENT, "afterContactWorkEndTimestamp": "2026-03-02T09:20:00Z"}},
            "call.wrapped_up",
        ),
        ("COMPLETED", {"agentInfo": AGENT}, None),
        ("COMPLETED", {}, None),
        ("CONNECTED_TO_SYSTEM", {}, None),
        ("CONTACT_DATA_UPDATED", {}, None),
        ("AMD_DISABLED", {}, None),
        ("SOMETHING_NEW", {}, None),
        ("CONNECTED_TO_AGENT", {"initiationMethod": "MONITOR"}, None),
        ("INITIATED", {"channel": "CHAT"}, "chat.started"),
        ("QUEUED", {"channel": "CHAT"}, "chat.queued"),
        ("CONNECTED_TO_AGENT", {"channel": "Chat"}, "chat.accepted"),
        ("DISCONNECTED", {"channel": "CHAT", "queueInfo": QUEUE}, "chat.abandoned"),
        ("DISCONNECTED", {"channel": "CHAT", "queueInfo": QUEUE, "agentInfo": AGENT}, "chat.ended"),
        ("INITIATED", {"channel": "TASK"}, "task.created"),
        ("DISCONNECTED", {"channel": "TASK"}, "task.completed"),
        ("INITIATED", {"channel": "EMAIL"}, None),
        ("INITIATED", {"channel": "HOLOGRAM"}, None),
    ],
)
def test_event_types_mean(event_type: str, detail: dict[str, object], word: str | None, tmp_path: Path) -> None:
    event = one(tmp_path, event_type, **detail)
    assert event.type == word or (word is None and event.type == "interaction.unmapped")
    assert event.attributes.get("type_as_given") == (event_type if word is None else None)


def test_a_callback_is_complete_when_the_customer_took_it(tmp_path: Path) -> None:
    detail: dict[str, object] = {"initiationMethod": "CALLBACK", "agentInfo": AGENT, "queueInfo": QUEUE}
    assert one(tmp_path, "CONNECTED_TO_AGENT", **detail).type == "callback.attempted"
    assert one(tmp_path, "DISCONNECTED", **detail).type == "call.ended"
    taken = one(tmp_path, "DISCONNECTED", connectedToSystemTimestamp="2026-03-02T09:06:00Z", **detail)
    assert taken.type == "callback.completed"


@pytest.mark.parametrize(
    ("event_type", "clock"),
    [
        ("INITIATED", "09:00:00"),
        ("QUEUED", "09:01:00"),
        ("CONNECTED_TO_AGENT", "09:05:00"),
        ("DISCONNECTED", "09:10:00"),
        ("COMPLETED", "09:20:00"),
        ("CONTACT_DATA_UPDATED", "09:30:00"),
    ],
)
def test_each_type_happened_at_its_own_timestamp(event_type: str, clock: str, tmp_path: Path) -> None:
    detail = {
        "contactId": "c-1",
        "eventType": event_type,
        "initiationTimestamp": "2026-03-02T09:00:00Z",
        "disconnectTimestamp": "2026-03-02T09:10:00Z",
        "queueInfo": QUEUE,
        "agentInfo": {**AGENT, "afterContactWorkEndTimestamp": "2026-03-02T09:20:00.000Z"},
    }
    [event] = read({"id": "e-1", "time": "2026-03-02T09:30:00Z", "detail": detail}, tmp_path)
    assert event.occurred_at == datetime.fromisoformat(f"2026-03-02T{clock}Z").timestamp() * 1_000_000


def test_an_instant_that_is_not_set_is_none(tmp_path: Path) -> None:
    event = one(tmp_path, "DISCONNECTED", disconnectTimestamp="1970-01-01T00:00:00.001Z")
    assert event.occurred_at == RECEIVED


def test_waiting_and_talking_are_measured_at_the_source(tmp_path: Path) -> None:
    event = one(
        tmp_path,
        "DISCONNECTED",
        queueInfo=QUEUE,
        agentInfo={**AGENT, "holdDuration": 15},
        disconnectTimestamp="2026-03-02T09:10:00.500Z",
        disconnectReason="CUSTOMER_DISCONNECT",
    )
    assert event.facts == CallFacts(
        leg="c-1", queue="q-1", waited=240_000_000, talked=300_500_000, held=15_000_000, cause="CUSTOMER_DISCONNECT"
    )
    assert event.actor is not None
    assert (event.actor.id, event.actor.organisation, event.actor.team) == ("a-7", "vendor-a", "first line")


def test_an_abandoned_call_waited_until_its_end(tmp_path: Path) -> None:
    event = one(tmp_path, "DISCONNECTED", queueInfo=QUEUE, disconnectTimestamp="2026-03-02T09:03:00Z")
    assert isinstance(event.facts, CallFacts)
    assert (event.type, event.facts.waited) == ("call.abandoned", 120_000_000)


def test_transfers_stay_in_one_conversation(tmp_path: Path) -> None:
    first = one(tmp_path, "INITIATED", contactId="c-1")
    second = one(
        tmp_path,
        "INITIATED",
        initiationMethod="TRANSFER",
        contactId="c-2",
        initialContactId="c-1",
        previousContactId="c-1",
    )
    assert first.conversation == second.conversation == "amazon-connect:c-1"


def test_the_customer_is_the_callers_number_and_always_the_contact(tmp_path: Path) -> None:
    anonymous = ContactPoint(kind="amazon_connect_contact", value="c-1", as_given="c-1", verified=True)
    assert one(tmp_path, "INITIATED", customerEndpoint=CALLER).contact_points == [
        ContactPoint(kind="phone", value="+4930901820", as_given="+4930901820"),
        anonymous,
    ]
    for endpoint in (
        None,
        {"type": "TELEPHONE_NUMBER", "address": "anonymous"},
        {"type": "CONTACT_FLOW", "address": "x"},
    ):
        assert one(tmp_path, "INITIATED", customerEndpoint=endpoint).contact_points == [anonymous]


@given(st.data())
def test_the_case_of_keys_does_not_matter(data: st.DataObject) -> None:
    def recased(tree: object) -> object:
        if isinstance(tree, dict):
            return {
                "".join(data.draw(st.sampled_from((letter.lower(), letter.upper()))) for letter in key): recased(value)
                for key, value in tree.items()
            }
        return tree

    detail: dict[str, object] = {"eventType": "QUEUED", "contactId": "c-1", "queueInfo": QUEUE, "channel": "VOICE"}
    body = {
        "id": "e-1",
        "time": "2026-03-02T09:30:00Z",
        "detail-type": "Amazon Connect Contact Event",
        "detail": detail,
    }
    [plain] = read(body, Path())
    [other] = read(recased(body), Path())
    assert msgspec.structs.replace(other, raw=None) == msgspec.structs.replace(plain, raw=None)


def test_an_event_is_recognised_by_the_envelopes_id_else_by_what_it_is(tmp_path: Path) -> None:
    detail = {"contactId": "c-1", "eventType": "QUEUED", "queueInfo": QUEUE}
    with_id = [read({"id": id_, "detail": detail}, tmp_path)[0].id for id_ in ("e-1", "e-1", "e-2")]
    assert with_id[0] == with_id[1] != with_id[2]
    bare = [read(one_of, tmp_path)[0].id for one_of in (detail, detail, {**detail, "eventType": "INITIATED"})]
    assert bare[0] == bare[1] != bare[2]


def test_a_list_is_several_events_each_once(tmp_path: Path) -> None:
    detail = {"contactId": "c-1", "eventType": "QUEUED", "queueInfo": QUEUE}
    assert len(read([detail, detail, {**detail, "contactId": "c-2"}], tmp_path)) == 2


def test_another_event_of_connect_is_kept(tmp_path: Path) -> None:
    [event] = read({"id": "e-1", "detail-type": "Contact Lens Post Call Rules Matched", "detail": {"x": 1}}, tmp_path)
    assert event.type == "interaction.unmapped"
    assert event.attributes["type_as_given"] == "Contact Lens Post Call Rules Matched"


@pytest.mark.parametrize("body", [b"5", b"{}", b'{"detail":5}', b'[{"eventType":"QUEUED"}]', b'{"contactId":5}'])
def test_what_names_no_contact_is_unreadable(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        read(body, tmp_path)
    assert caught.value.reason == Reason.NOT_VALID


@pytest.mark.parametrize(
    "headers", [{"x-hub-token": "token"}, {"authorization": "Bearer token"}, {"authorization": "bearer  token"}]
)
def test_the_token_opens_the_door(headers: dict[str, str]) -> None:
    AmazonConnect().verify(Delivery(body=b"", received_at=RECEIVED, headers=headers), ACCOUNT)


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-hub-token": ""}, {"x-hub-token": "tokem"}, {"authorization": "Basic token"}, {"x-hub-token": "é"}],
)
def test_nothing_else_opens_it(headers: dict[str, str]) -> None:
    for account in (ACCOUNT, msgspec.structs.replace(ACCOUNT, secret="")):
        with pytest.raises(SignatureRejected):
            AmazonConnect().verify(Delivery(body=b"", received_at=RECEIVED, headers=headers), account)
