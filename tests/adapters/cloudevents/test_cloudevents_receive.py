"""CloudEvents: the three content modes, what the attributes become, and every fault told with its place."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from adapters.cloudevents.receive import BATCH, STRUCTURED, CloudEvents, EventsRefused
from adapters.contract import Account, Delivery
from domain.errors import SignatureRejected, Unreadable
from runtime.blobs import FolderBlobs
from schemas.codec import Codec
from schemas.records import ContactPoint, InteractionReceived, MessageFacts
from schemas.vocabulary import TYPES

NOW = 1_772_442_000_000_000  # 2026-03-02T09:00:00Z
WHEN = datetime.fromtimestamp(NOW / 1_000_000, UTC)
ACCOUNT = Account(tenant="default", name="events", secret="token", region="DE")
DATA = {
    "channel": "chat",
    "direction": "inbound",
    "contact_points": [{"kind": "email", "value": "customer@example.com"}],
    "text": "Where is my order?",
}
Json = dict[str, Any]  # Any: a JSON document


def event(**changes: object) -> Json:
    given = {"specversion": "1.0", "id": "1", "source": "shop/eu", "type": "message.received", "data": DATA, **changes}
    return {name: value for name, value in given.items() if value is not None}


def read(body: object, media_type: str = STRUCTURED, **headers: str) -> list[InteractionReceived]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    delivery = Delivery(body=data, received_at=NOW, headers=named, media_type=media_type)
    return CloudEvents().read(delivery, ACCOUNT, FolderBlobs(Path("nowhere")))


def faults(body: object, media_type: str = STRUCTURED, **headers: str) -> list[tuple[int, str]]:
    with pytest.raises(EventsRefused) as caught:
        read(body, media_type, **headers)
    for fault in caught.value.faults:
        assert fault.detail
    return [(fault.index, fault.pointer) for fault in caught.value.faults]


def test_an_event_in_structured_mode() -> None:
    [got] = read(event(time="2026-03-02T09:59:00+01:00", subject="order 7"))
    assert got.type == "message.received"
    assert got.source == "shop/eu"
    assert got.tenant == "default"
    assert got.occurred_at == NOW - 60_000_000
    assert got.received_at == NOW
    assert got.conversation == "order 7"
    assert got.contact_points == [
        ContactPoint(kind="email", value="customer@example.com", as_given="customer@example.com")
    ]
    assert Codec().decode(Codec().encode(got)) == got


def test_what_the_packages_own_writer_makes_is_read_the_same_in_each_mode() -> None:
    made = CloudEvent({"id": "1", "source": "shop/eu für", "type": "message.received", "time": WHEN}, DATA)
    structured = to_structured_event(made)
    [first] = read(structured.body, structured.headers["content-type"])
    binary = to_binary_event(made)
    headers = {name.lower(): value for name, value in binary.headers.items()}
    [second] = CloudEvents().read(
        Delivery(body=binary.body, received_at=NOW, headers=headers, media_type="application/json"),
        ACCOUNT,
        FolderBlobs(Path("nowhere")),
    )
    [third] = read(b"[" + structured.body + b"]", BATCH)
    assert first == second == third
    assert first.source == "shop/eu für"


def test_plain_json_is_taken_as_what_it_looks_like() -> None:
    assert read(event(), "application/json") == read([event()], "application/json") == read(event())


def test_the_same_event_has_the_same_id_and_another_another() -> None:
    ids = [
        read(one)[0].id for one in (event(), event(), event(id="2"), event(source="shop/us"), event(type="note.added"))
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_an_id_of_the_senders_own_is_kept() -> None:
    own = "0d9c1c6e-2f0c-5b1e-9d6c-3a6a5b3c2d10"
    assert read(event(data={**DATA, "id": own}))[0].id == own
    assert faults(event(data={**DATA, "id": "7"})) == [(0, "/data/id")]


@pytest.mark.parametrize("word", sorted(TYPES.keys() - {"interaction.unmapped", "source.counted"}))
def test_each_word_of_the_vocabulary_is_taken_with_or_without_prefix(word: str) -> None:
    assert [read(event(type=given))[0].type for given in (word, f"hub.{word}")] == [word, word]


COUNTING: Json = {
    "channel": "internal",
    "direction": "internal",
    "attributes": {"type": "message.received", "since": "2026-03-02T08:00:00Z", "until": "2026-03-02T08:30:00Z"},
}


def test_a_sources_own_count_belongs_to_the_source() -> None:
    data = {**COUNTING, "attributes": {**COUNTING["attributes"], "count": "12"}}
    [got] = read(event(type="source.counted", data=data))
    assert got.attributes["count"] == "12"
    assert got.contact_points == [ContactPoint("source", "shop/eu", role="other")]
    data = {**COUNTING, "attributes": {**COUNTING["attributes"], "count": "12", "source": "shop/us"}}
    [got] = read(event(type="source.counted", data=data))
    assert got.contact_points == [ContactPoint("source", "shop/us", role="other")]


def test_a_sources_own_count_that_says_nothing_is_a_fault() -> None:
    assert faults(event(type="source.counted", data=COUNTING)) == [(0, "/data/attributes/count")]
    data = {**COUNTING, "attributes": {**COUNTING["attributes"], "count": "12", "until": "2026-03-02T08:31:00Z"}}
    assert faults(event(type="source.counted", data=data)) == [(0, "/data/attributes/until")]


def test_a_type_that_is_unknown_is_kept_whole() -> None:
    data = {"contact_points": [{"kind": "phone", "value": "030 901820"}], "parcel": 7}
    [got] = read(event(type="com.example.parcel.lost", data=data))
    assert got.type == "interaction.unmapped"
    assert got.attributes == {"type_as_given": "com.example.parcel.lost"}
    assert [point.value for point in got.contact_points] == ["+4930901820"]
    assert got.raw is not None
    assert got.raw.inline is not None
    assert json.loads(got.raw.inline)["data"] == data


@pytest.mark.parametrize("at", ["2026-03-02T08:59:00Z", NOW - 60_000_000])
def test_instants_are_text_or_microseconds(at: object) -> None:
    assert read(event(time="2020-01-01T00:00:00Z", data={**DATA, "occurred_at": at}))[0].occurred_at == NOW - 60_000_000


def test_an_event_that_names_no_conversation_belongs_to_its_contact_point() -> None:
    assert read(event())[0].conversation == "email:customer@example.com"
    assert read(event(data={**DATA, "conversation": "c 1"}, subject="s"))[0].conversation == "c 1"


def test_facts_and_the_rest_come_through() -> None:
    facts = {"kind": "message", "message_id": "m 1", "content": "text"}
    data = {**DATA, "facts": facts, "sequence": 7, "language": "de", "attributes": {"order": "7"}}
    [got] = read(event(data=data))
    assert got.facts == MessageFacts(message_id="m 1", content="text")
    assert (got.sequence, got.language, got.attributes) == (7, "de", {"order": "7"})


def test_agents_and_configuration_need_no_customer() -> None:
    for word in ("agent.signed_in", "configuration.published"):
        assert read(event(type=word, data={"channel": "internal", "direction": "internal"}))[0].type == word


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"source": None}, "/source"),
        ({"type": None}, "/type"),
        ({"specversion": None}, "/specversion"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-03-02T09:00:00"}, "/time"),
        ({"time": "2026-03-03T09:00:01Z"}, "/time"),
        ({"Wrong-Name": "x"}, "/Wrong-Name"),
        ({"data_base64": "e30="}, "/data_base64"),
        ({"data": None}, "/data"),
        ({"data": "text"}, "/data"),
        ({"data": {**DATA, "channel": "pigeon"}}, "/data/channel"),
        ({"data": {**DATA, "direction": "sideways"}}, "/data/direction"),
        ({"data": {**DATA, "contact_points": []}}, "/data/contact_points"),
        ({"data": {**DATA, "contact_points": [{"kind": "email"}]}}, "/data/contact_points/0"),
        ({"data": {**DATA, "contact_points": [{"kind": "email", "value": "nobody"}]}}, "/data/contact_points/0/value"),
        ({"data": {**DATA, "contact_points": [{"kind": "phone", "value": "unknown"}]}}, "/data/contact_points/0/value"),
        ({"data": {**DATA, "contact_points": [{"kind": "email", "value": 7}]}}, "/data/contact_points/0/value"),
        ({"data": {**DATA, "occurred_at": "soon"}}, "/data/occurred_at"),
        ({"data": {**DATA, "occurred_at": NOW + 86_400_000_001}}, "/data/occurred_at"),
        ({"data": {**DATA, "occurred_at": -1}}, "/data/occurred_at"),
        ({"data": {**DATA, "contact_point": []}}, "/data"),
        ({"data": {**DATA, "source": "another"}}, "/data/source"),
        ({"data": {**DATA, "tenant": "another"}}, "/data/tenant"),
        ({"data": {**DATA, "type": "note.added"}}, "/data/type"),
        ({"data": {**DATA, "facts": {"kind": "poem"}}}, "/data/facts/kind"),
        ({"type": "com.example.unknown", "data": {}}, "/data/contact_points"),
    ],
)
def test_a_fault_is_told_with_its_place(changes: Json, pointer: str) -> None:
    assert faults(event(**changes)) == [(0, pointer)]
    assert faults([event(), event(**changes)], BATCH) == [(1, f"/1{pointer}")]


def test_a_day_ahead_is_still_taken() -> None:
    assert read(event(time="2026-03-03T09:00:00Z"))


def test_all_faults_of_a_batch_are_told_at_once() -> None:
    worst = event(data={**DATA, "channel": "pigeon", "direction": "sideways", "contact_points": []})
    assert faults([worst, event(), 7, event(id=None, source=None)], BATCH) == [
        (0, "/0/data/contact_points"),
        (0, "/0/data/channel"),
        (0, "/0/data/direction"),
        (2, "/2"),
        (3, "/3/id"),
        (3, "/3/source"),
    ]


def test_the_content_type_and_the_body_must_agree() -> None:
    assert faults(event(), BATCH) == [(0, "")]
    assert faults([event()], STRUCTURED) == [(0, "")]


def test_binary_mode_tells_places_in_the_body() -> None:
    headers = {"ce_id": "1", "ce_source": "shop", "ce_type": "message.received", "ce_specversion": "1.0"}
    assert read(DATA, "application/json", **headers)
    assert faults({**DATA, "channel": "pigeon"}, "application/json", **headers) == [(0, "/channel")]
    assert faults(DATA, "application/json", **{**headers, "ce_id": ""}) == [(0, "/id")]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":NaN}'])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*event(), *DATA, "time", "subject", "facts", "kind"]), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_whatever_json_comes_it_is_read_or_refused(tree: object) -> None:
    for body in (tree, event(data=tree), event(type="com.example.x", data=tree), event(time=tree), event(subject=tree)):
        with contextlib.suppress(EventsRefused):
            for got in read(body, "application/json"):
                assert got.type in TYPES


def test_only_the_token_opens_the_door() -> None:
    def verify(authorization: str, account: Account = ACCOUNT) -> None:
        headers = {"authorization": authorization}
        CloudEvents().verify(Delivery(body=b"", received_at=NOW, headers=headers), account)

    verify("Bearer token")
    for wrong in ("", "token", "Bearer", "Bearer tokem", "Basic token"):
        with pytest.raises(SignatureRejected):
            verify(wrong)
    with pytest.raises(SignatureRejected):
        verify("Bearer ", msgspec.structs.replace(ACCOUNT, secret=""))
