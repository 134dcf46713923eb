"""The codec: every record survives, every number on a log stays readable, and no bytes make it raise anything else."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec as codec_module
from schemas import records
from schemas.codec import Codec, NotDecodable, parse, pinned_ids, schema_of
from schemas.records import Actor, CallFacts, InteractionReceived, MailFacts, Raw, TicketChanged, TimeAdvanced
from tests.schemas.strategies import values

CODEC = Codec()
EVENT = InteractionReceived(
    id="3b2d9f3e-95d2-5d8c-8a5f-0c7ff4a3c1aa",
    type="call.queued",
    tenant="default",
    source="asterisk-ami/pbx",
    channel="voice",
    direction="inbound",
    occurred_at=1_762_166_405_000_000,
    received_at=1_762_166_406_000_000,
    conversation="asterisk:pbx:1762166400.17",
    actor=Actor("customer"),
    facts=CallFacts(queue="support", waited=5_000_000),
    raw=Raw("text/plain", inline=b"\x00\xff"),
)


def written(number: int, schema: Any, plain: dict[str, Any]) -> bytes:
    """What another writer with its own schema puts on a topic."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(copy.deepcopy(schema)), plain)
    return b"\x00" + number.to_bytes(4, "big") + buffer.getvalue()


def plain_event(**changes: object) -> dict[str, Any]:
    """The fields of an interaction that have no default."""
    names = [field["name"] for field in schema_of(InteractionReceived)["fields"] if "default" not in field]
    return {name: getattr(EVENT, name) for name in names} | changes


def changed(cls: type = InteractionReceived) -> dict[str, Any]:
    """A schema of ours to be changed."""
    return copy.deepcopy(schema_of(cls))


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(field for field in schema["fields"] if field["name"] == name)


@given(values)
def test_every_record_survives(record: records.Value) -> None:
    assert CODEC.decode(CODEC.encode(record)) == record


def reason(data: bytes) -> str | None:
    """Why bytes are refused; None if they are a record."""
    try:
        CODEC.decode(data)
    except NotDecodable as error:
        return error.reason
    return None


@given(st.binary(max_size=200), st.sampled_from(sorted(pinned_ids().values())), st.booleans())
def test_no_bytes_raise_anything_but_not_decodable(body: bytes, number: int, framed: bool) -> None:
    data = b"\x00" + number.to_bytes(4, "big") + body if framed else body
    assert reason(data) in {None, "not-wire-format", "unknown-schema", "not-avro", "not-valid"}


@given(st.data())
def test_a_damaged_record_raises_nothing_but_not_decodable(data: st.DataObject) -> None:
    damaged = bytearray(CODEC.encode(EVENT))
    for place in data.draw(st.lists(st.integers(5, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    assert reason(bytes(damaged)) in {None, "not-avro", "not-valid"}


@given(st.data())
def test_a_cut_or_lengthened_record_is_not_avro(data: st.DataObject) -> None:
    whole = CODEC.encode(EVENT)
    cut = whole[: data.draw(st.integers(5, len(whole) - 1))]
    for broken in (cut, whole + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(NotDecodable) as told:
            CODEC.decode(broken)
        assert told.value.reason == "not-avro"


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00", b"\x01\x00\x00\x00\x01", b'{"id":"x"}'])
def test_what_has_no_wire_format_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(NotDecodable) as told:
        CODEC.decode(data)
    assert told.value.reason == "not-wire-format"


def test_an_unknown_number_is_refused_as_such() -> None:
    with pytest.raises(NotDecodable, match="schema 7 is neither pinned nor learned") as told:
        CODEC.decode(b"\x00\x00\x00\x00\x07abc")
    assert told.value.reason == "unknown-schema"
    assert not CODEC.knows(7)


def test_a_pinned_number_can_not_be_one_that_a_registry_gives() -> None:
    # Registries count from 1; a log begun without one must stay readable when one is added.
    assert min(pinned_ids().values()) > 2_000_000_000
    assert max(pinned_ids().values()) < 2**31


def test_with_a_registrys_numbers_the_pinned_ones_stay_readable() -> None:
    reverse = {name: number for number, name in enumerate(reversed(pinned_ids()), start=1)}
    registered = Codec(reverse)
    assert int.from_bytes(registered.encode(EVENT)[1:5], "big") == reverse["InteractionReceived"]
    for record in (EVENT, TimeAdvanced(5)):
        assert registered.decode(registered.encode(record)) == record
        assert registered.decode(CODEC.encode(record)) == record


def test_a_registrys_number_that_is_pinned_for_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="number 2000000002 for InteractionReceived is pinned for another schema"):
        Codec({"InteractionReceived": pinned_ids()["TimeAdvanced"]})


class TestOtherWriters:
    """Records written with another version of a schema of ours."""

    def test_an_extra_field_is_left_out(self) -> None:
        schema = changed()
        schema["fields"].insert(3, {"name": "mood", "type": ["null", "string"], "default": None})
        schema["fields"].append({"name": "weight", "type": "double"})
        codec = Codec()
        codec.learn(90, schema)
        data = written(90, schema, plain_event(mood="fine", weight=0.5, text="Hello"))
        assert codec.decode(data) == InteractionReceived(**plain_event(), text="Hello")

    def test_a_missing_optional_field_gets_its_default(self) -> None:
        schema = changed()
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in ("facts", "raw", "sequence")]
        codec = Codec()
        codec.learn(91, schema)
        assert codec.decode(written(91, schema, plain_event())) == InteractionReceived(**plain_event())

    def test_a_missing_field_without_default_is_not_avro(self) -> None:
        schema = changed()
        schema["fields"] = [field for field in schema["fields"] if field["name"] != "conversation"]
        codec = Codec()
        codec.learn(92, schema)
        with pytest.raises(NotDecodable, match="conversation") as told:
            codec.decode(written(92, schema, plain_event()))
        assert told.value.reason == "not-avro"

    def test_facts_of_one_kind_only_and_facts_of_a_kind_to_come(self) -> None:
        calls, more = changed(), changed()
        field(calls, "facts")["type"] = field(calls, "facts")["type"][:2]
        coming = {"type": "record", "name": "VisitFacts", "fields": [{"name": "shop", "type": "string"}]}
        field(more, "facts")["type"].append(coming)
        codec = Codec()
        codec.learn(93, calls)
        codec.learn(94, more)
        expected = InteractionReceived(**plain_event(), facts=CallFacts(queue="support"))
        called = ("hub.interaction.CallFacts", {"queue": "support"})
        assert codec.decode(written(93, calls, plain_event(facts=called))) == expected
        assert codec.decode(written(94, more, plain_event(facts=called))) == expected
        visited = written(94, more, plain_event(facts=("hub.interaction.VisitFacts", {"shop": "north"})))
        with pytest.raises(NotDecodable) as told:
            codec.decode(visited)
        assert told.value.reason == "not-avro"

    def test_a_schema_that_differs_in_words_only_costs_no_resolution(self) -> None:
        schema = changed()
        schema["doc"] = "other words"
        codec = Codec()
        codec.learn(95, schema)
        assert codec._readers[95] == codec._readers[pinned_ids()["InteractionReceived"]]
        assert codec.decode(b"\x00\x00\x00\x00\x5f" + codec.encode(EVENT)[5:]) == EVENT

    def test_instants_in_another_unit_are_refused_instead_of_misread(self) -> None:
        schema = changed()
        field(schema, "occurred_at")["type"]["logicalType"] = "timestamp-millis"
        with pytest.raises(NotDecodable, match=r"occurred_at: was timestamp-millis, is timestamp-micros") as told:
            Codec().learn(96, schema)
        assert told.value.reason == "unknown-schema"

    @pytest.mark.parametrize(
        "schema",
        [
            {},
            {"type": "record", "name": "Order", "fields": []},
            {"type": "record", "name": "TimeAdvanced"},
            {"type": "record", "name": "TimeAdvanced", "fields": [{"name": "now", "type": "clock"}]},
        ],
    )
    def test_what_is_no_version_of_ours_is_unknown(self, schema: dict[str, object]) -> None:
        with pytest.raises(NotDecodable) as told:
            Codec().learn(97, schema)
        assert told.value.reason == "unknown-schema"


def test_a_former_schema_of_ours_is_read_under_its_own_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = changed(TicketChanged)
    former["fields"] = [field for field in former["fields"] if field["name"] != "tags"]
    path = tmp_path / "ticket-changed.2000000099.avsc"
    path.write_text(json.dumps(former))
    found = codec_module.accepted(tmp_path)
    assert found == {2000000099: former}
    monkeypatch.setattr(codec_module, "accepted", lambda: found)
    plain = {field["name"]: "x" if field["type"] == "string" else 1 for field in former["fields"][:10]}
    record = Codec().decode(written(2000000099, former, plain))
    assert isinstance(record, TicketChanged)
    assert (record.id, record.tags) == ("x", [])


def test_logical_types_are_in_the_files_and_instants_stay_integers() -> None:
    assert field(changed(), "occurred_at")["type"] == {"type": "long", "logicalType": "timestamp-micros"}
    assert "logicalType" not in json.dumps(parse(schema_of(InteractionReceived)))
    assert isinstance(CODEC.decode(CODEC.encode(EVENT)), InteractionReceived)


def test_facts_of_a_mail_and_of_a_call_are_told_apart() -> None:
    for facts in (MailFacts(), CallFacts()):
        record = CODEC.decode(CODEC.encode(InteractionReceived(**plain_event(), facts=facts)))
        assert isinstance(record, InteractionReceived)
        assert record.facts == facts
