"""WhatsApp webhooks: every real payload gives events, each once, and only Meta's signature is believed."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Account, Delivery
from adapters.whatsapp.receive import WhatsApp
from adapters.whatsapp.vendor import phone
from domain.errors import Reason, SignatureRejected, Unreadable
from runtime.blobs import FolderBlobs
from schemas.codec import Codec
from schemas.records import CallFacts, InteractionReceived, MessageFacts
from schemas.vocabulary import CHANNELS, DIRECTIONS, TYPES
from tests.shared import requires_shared, shared_path

RECEIVED = 1_800_000_000_000_000
ACCOUNT = Account(tenant="default", name="main", secret="app secret", verify_token="word", team="care")
PAYLOADS = sorted(shared_path("fixtures", "chat", "whatsapp-pywa").glob("*.json"))
NUMBER = {"phone_number_id": "106540352242922", "display_phone_number": "4930901820"}


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path)


def read(body: bytes | object, blobs: FolderBlobs) -> list[InteractionReceived]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WhatsApp().read(Delivery(body=data, received_at=RECEIVED), ACCOUNT, blobs)


def payload(name: str, blobs: FolderBlobs) -> InteractionReceived:
    [event] = read(shared_path("fixtures", "chat", "whatsapp-pywa", f"{name}.json").read_bytes(), blobs)
    return event


def webhook(value: dict[str, object], field: str = "messages") -> dict[str, object]:
    change = {"field": field, "value": {"messaging_product": "whatsapp", "metadata": NUMBER, **value}}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1022", "changes": [change]}]}


def text(id_: str, sender: str | None = "4930901821", **more: object) -> dict[str, object]:
    message = {"id": id_, "type": "text", "timestamp": "1697043223", "text": {"body": "Hello"}, **more}
    return message if sender is None else {**message, "from": sender}


@requires_shared
@pytest.mark.parametrize("file", PAYLOADS, ids=lambda file: file.stem)
def test_each_real_payload_gives_events_in_the_vocabulary(file: Path, blobs: FolderBlobs) -> None:
    events = read(file.read_bytes(), blobs)
    assert events
    for event in events:
        assert event.type in TYPES
        assert event.channel in CHANNELS
        assert event.direction in DIRECTIONS
        assert event.contact_points
        assert event.raw is not None
        assert Codec().decode(Codec().encode(event)) == event


@requires_shared
@pytest.mark.parametrize("file", PAYLOADS, ids=lambda file: file.stem)
def test_the_part_an_event_keeps_reads_as_the_same_event(file: Path, blobs: FolderBlobs) -> None:
    for event in read(file.read_bytes(), blobs):
        assert event.raw is not None
        assert event.raw.inline is not None
        assert read(event.raw.inline, blobs) == [event]


@requires_shared
def test_there_are_seventy_four_real_payloads() -> None:
    assert len(PAYLOADS) == 74


@requires_shared
@pytest.mark.parametrize(
    ("name", "event_type", "direction"),
    [
        ("message__text", "message.received", "inbound"),
        ("message__unsupported", "message.received", "inbound"),
        ("message__reaction", "social.reacted", "inbound"),
        ("deleted_message__revoke", "message.deleted", "inbound"),
        ("edited_message__image", "message.edited", "inbound"),
        ("message_status__read", "message.status_changed", "outbound"),
        ("outgoing_message__text", "message.sent", "outbound"),
        ("outgoing_message__edit", "message.edited", "outbound"),
        ("outgoing_message__delete", "message.deleted", "outbound"),
        ("system__phone_number_change", "customer.linked", "inbound"),
        ("system__identity_change", "interaction.unmapped", "inbound"),
        ("call_connect__user_initiated", "call.offered", "inbound"),
        ("call_connect__business_initiated", "call.offered", "outbound"),
        ("call_status__call_status", "call.ringing", "outbound"),
        ("call_terminate__call_terminate", "call.ended", "outbound"),
        ("call_permission_update__accept", "interaction.unmapped", "inbound"),
        ("account_update__account_violation", "interaction.unmapped", "internal"),
        ("template_status_update__rejected", "interaction.unmapped", "internal"),
    ],
)
def test_real_payloads_mean(name: str, event_type: str, direction: str, blobs: FolderBlobs) -> None:
    event = payload(name, blobs)
    assert (event.type, event.direction) == (event_type, direction)


@requires_shared
def test_a_text_message_in_full(blobs: FolderBlobs) -> None:
    event = payload("message__text", blobs)
    assert event.text == "Body Text"
    assert event.occurred_at == 1_697_043_223_000_000
    assert event.received_at == RECEIVED
    assert event.source == "whatsapp/main"
    assert event.conversation == "whatsapp:1122334455667:972987654321"
    assert [(point.kind, point.value, point.verified) for point in event.contact_points] == [
        ("phone", "+972987654321", True),
        ("whatsapp_user", "US.13491208655302741918", True),
    ]
    assert event.facts == MessageFacts(message_id="wamid.xyzxyz", content="text")


@requires_shared
def test_what_messages_say(blobs: FolderBlobs) -> None:
    assert payload("callback_selection__description", blobs).text == "title"
    assert "cs_rating: 0" in (payload("flow_completion__completion", blobs).text or "")
    assert "flow_token" not in (payload("flow_completion__completion", blobs).text or "")
    assert payload("message__order", blobs).text == "3 × HAMBURGER\n2 × FRENCH_FRIES\n2 × SODA"
    assert payload("edited_message__image", blobs).text == "Updated image caption"
    [attachment] = payload("message__document", blobs).attachments
    assert (attachment.name, attachment.media_type) == ("filename.pdf", "application/pdf")
    assert attachment.where == "whatsapp:1234567890987654321"
    failed = payload("message_status__failed", blobs)
    assert failed.attributes["error_code"] == "130472"
    assert failed.facts == MessageFacts(message_id="wamid.xyzxyz", status="failed")


def test_a_batch_gives_each_event_once_and_keeps_only_its_own_part(blobs: FolderBlobs) -> None:
    messages = [text(f"wamid.{n}", f"49309018{n:02}") for n in range(100)]
    contacts = [{"wa_id": f"49309018{n:02}", "user_id": f"DE.{n}"} for n in range(100)]
    events = read(webhook({"messages": [*messages, messages[0]], "contacts": contacts}), blobs)
    assert len(events) == 100
    assert {event.contact_points[1].value for event in events} == {f"DE.{n}" for n in range(100)}
    for n, event in enumerate(events):
        assert event.raw is not None
        assert event.raw.inline is not None
        assert len(event.raw.inline) < 600
        assert f"DE.{n + 1}".encode() not in event.raw.inline or n < 10


def test_the_same_delivery_a_week_later_gives_the_same_ids(blobs: FolderBlobs) -> None:
    body = json.dumps(
        webhook({"messages": [text("wamid.1")], "statuses": [{"id": "wamid.0", "status": "read"}]})
    ).encode()
    first = WhatsApp().read(Delivery(body=body, received_at=RECEIVED), ACCOUNT, blobs)
    later = WhatsApp().read(Delivery(body=body, received_at=RECEIVED + 7 * 86_400_000_000), ACCOUNT, blobs)
    assert [event.id for event in first] == [event.id for event in later]


def test_each_status_of_a_message_is_an_event_of_its_own(blobs: FolderBlobs) -> None:
    statuses = [
        {"id": "wamid.1", "status": status, "recipient_id": "4930901821"} for status in ("sent", "read", "read")
    ]
    assert [event.facts for event in read(webhook({"statuses": statuses}), blobs)] == [
        MessageFacts(message_id="wamid.1", status="sent"),
        MessageFacts(message_id="wamid.1", status="read"),
    ]


def test_a_customer_who_hides_the_number_is_known_by_user_id(blobs: FolderBlobs) -> None:
    [event] = read(webhook({"messages": [text("wamid.1", None, from_user_id="DE.7")]}), blobs)
    assert [(point.kind, point.value) for point in event.contact_points] == [("whatsapp_user", "DE.7")]
    assert event.conversation == "whatsapp:106540352242922:DE.7"


def test_the_only_contact_of_an_echo_does_not_make_one_person_of_two(blobs: FolderBlobs) -> None:
    echo = {**text("wamid.1", "4930901820"), "to": "4930901821"}
    ours = [{"wa_id": "4930901820", "user_id": "DE.OURS"}]
    [event] = read(webhook({"message_echoes": [echo], "contacts": ours}, "smb_message_echoes"), blobs)
    assert [point.value for point in event.contact_points] == ["+4930901821"]
    assert event.actor is not None
    assert (event.actor.kind, event.actor.team) == ("agent", "care")


def test_a_strange_part_spoils_no_other(blobs: FolderBlobs) -> None:
    parts = [text("wamid.1"), {"no": "id"}, 7, text("wamid.2", text={"body": 5}), text("wamid.3")]
    events = read(webhook({"messages": parts}), blobs)
    assert [event.type for event in events] == [
        "message.received",
        "interaction.unmapped",
        "interaction.unmapped",
        "message.received",  # the customer wrote, even if what he wrote can't be shown
        "message.received",
    ]
    assert events[3].attributes == {"content": "unreadable"}


def test_a_message_type_of_tomorrow_is_still_a_message(blobs: FolderBlobs) -> None:
    [event] = read(webhook({"messages": [text("wamid.1", type="hologram")]}), blobs)
    assert (event.type, event.text) == ("message.received", None)


@pytest.mark.parametrize(
    ("call", "event_type"),
    [
        ({"direction": "USER_INITIATED", "status": "COMPLETED", "duration": 61}, "call.ended"),
        ({"direction": "USER_INITIATED", "status": "FAILED"}, "call.abandoned"),
        ({"direction": "BUSINESS_INITIATED", "status": "FAILED"}, "call.ended"),
    ],
)
def test_a_call_that_nobody_took_was_abandoned(call: dict[str, object], event_type: str, blobs: FolderBlobs) -> None:
    calls = [{"id": "wacid.1", "event": "terminate", "from": "4930901821", "to": "4930901821", **call}]
    [event] = read(webhook({"calls": calls}, "calls"), blobs)
    assert event.type == event_type
    assert isinstance(event.facts, CallFacts)
    assert event.facts.talked == (61_000_000 if "duration" in call else None)


@pytest.mark.parametrize(
    ("wa_id", "number"),
    [
        ("4930901821", "+4930901821"),
        ("5215512345678", "+525512345678"),  # Mexico without the old 1
        ("553188887777", "+5531988887777"),  # Brazil with the new 9
        ("553133334444", "+553133334444"),  # a landline stays one
        ("163155536021", None),
        ("fowefinoewcnw", None),
        ("٤٩٣٠٩٠١٨٢١", None),
        (None, None),
    ],
)
def test_numbers(wa_id: str | None, number: str | None) -> None:
    assert phone(wa_id) == number


def test_a_large_part_goes_to_the_blob_store(blobs: FolderBlobs) -> None:
    [event] = read(webhook({"messages": [text("wamid.1", text={"body": "x" * 40_000})]}), blobs)
    assert event.raw is not None
    assert event.raw.reference is not None
    assert read(blobs.get(event.raw.reference), blobs) == [event]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b'{"object":', Reason.NOT_JSON),
        (b"\xff\xfe", Reason.NOT_JSON),
        (b'{"object":"page","entry":[]}', Reason.NOT_VALID),
        (b"[]", Reason.NOT_VALID),
        (b'{"object":"whatsapp_business_account","entry":[{"id":"1","messaging":[]}]}', Reason.NOT_VALID),
    ],
)
def test_what_is_no_webhook_is_unreadable(body: bytes, reason: Reason, blobs: FolderBlobs) -> None:
    with pytest.raises(Unreadable) as caught:
        read(body, blobs)
    assert caught.value.reason == reason


def sign(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@given(body=st.binary(max_size=200), at=st.integers(0, 199), bit=st.integers(0, 7), cut=st.integers(0, 70))
def test_a_signature_holds_for_its_body_alone(body: bytes, at: int, bit: int, cut: int) -> None:
    signature = sign(body, ACCOUNT.secret)
    verify(body, signature)
    changed = bytearray(body or b"\0")
    changed[at % len(changed)] ^= 1 << bit
    for other_body, other_signature in [
        (bytes(changed), signature),
        (body + b" ", signature),
        (body, signature[:cut]),
        (body, signature.upper()),
        (body, sign(body, "another secret")),
        (body, ""),
        (body, "sha256=é"),
    ]:
        with pytest.raises(SignatureRejected):
            verify(other_body, other_signature)


def verify(body: bytes, signature: str, account: Account = ACCOUNT) -> None:
    headers = {"x-hub-signature-256": signature}
    WhatsApp().verify(Delivery(body=body, received_at=RECEIVED, headers=headers), account)


def test_an_account_without_a_secret_believes_nobody() -> None:
    for signature in ("", sign(b"{}", "")):
        with pytest.raises(SignatureRejected):
            verify(b"{}", signature, msgspec.structs.replace(ACCOUNT, secret=""))


@requires_shared
def test_the_published_signature_vector() -> None:
    vectors = json.loads(shared_path("fixtures", "signatures", "vectors.json").read_text())
    [vector] = [vector for vector in vectors if vector["scheme"].startswith("x-hub-signature-256")]
    account = msgspec.structs.replace(ACCOUNT, secret=vector["secret"])
    verify(vector["body"].encode(), vector["signature"], account)


def test_the_challenge_is_answered_to_who_knows_the_token() -> None:
    def challenge(token: str, account: Account = ACCOUNT) -> str | None:
        query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
        return WhatsApp().challenge(Delivery(body=b"", received_at=RECEIVED, query=query), account)

    assert challenge("word") == "1158201444"
    with pytest.raises(SignatureRejected):
        challenge("wrong")
    with pytest.raises(SignatureRejected):
        challenge("", msgspec.structs.replace(ACCOUNT, verify_token=""))
