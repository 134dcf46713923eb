"""The examples are true: each is a record as it travels, with its key and headers, and survives the codec."""

from __future__ import annotations

import base64
import json
import uuid

import msgspec
import pytest

from runtime.changelog import POSITION, Position, Restoring, entry, position_entry
from schemas import records
from schemas.casework_state import CustomerState
from schemas.codec import Codec, NotDecodable, pinned_ids
from schemas.records import (
    Configuration,
    InteractionReceived,
    SlaVerdictIssued,
    TicketChanged,
    TimelineEntryAdded,
)
from schemas.topics import topics
from schemas.vocabulary import CHANNELS, DIRECTIONS, TYPES
from tests.schemas.examples import Example, examples

CLASSES = {cls.__name__: cls for cls in records.Value.__args__}
ALL = examples()
AVRO = [example for example in ALL if example.record]


def record_of(example: Example) -> records.Value:
    found: records.Value = msgspec.convert(example.value, CLASSES[str(example.record)])
    return found


@pytest.mark.parametrize("example", AVRO, ids=str)
def test_an_example_survives_the_codec_and_is_written_as_it_travels(example: Example) -> None:
    codec = Codec()
    record = record_of(example)
    data = codec.encode(record)
    assert codec.decode(data) == record
    assert int.from_bytes(data[1:5], "big") == pinned_ids()[type(record).__name__]
    # Nothing misspelt, nothing written out that is a default.
    assert json.loads(msgspec.json.encode(record)) == example.value


@pytest.mark.parametrize("example", AVRO, ids=str)
def test_an_example_has_the_key_of_its_topic(example: Example) -> None:
    match record_of(example):
        case InteractionReceived() as event if example.topic == "interaction-received":
            assert example.key == event.conversation
            told = {"ce_id": event.id, "ce_source": event.source, "ce_type": event.type}
            assert told.items() <= example.headers.items()
        case InteractionReceived():
            assert uuid.UUID(example.key)
            assert {"source", "source_offset", "ordinal"} <= set(example.headers)
        case TimelineEntryAdded(customer=customer):
            assert example.key == customer
        case TicketChanged(id=ticket) | SlaVerdictIssued(ticket=ticket):
            assert example.key == ticket
        case _:
            assert example.key is None


@pytest.mark.parametrize("example", [one for one in AVRO if one.record == "InteractionReceived"], ids=str)
def test_an_example_uses_the_vocabulary(example: Example) -> None:
    event = record_of(example)
    assert isinstance(event, InteractionReceived)
    assert event.type in TYPES
    assert event.channel in CHANNELS
    assert event.direction in DIRECTIONS
    assert str(uuid.UUID(event.id)) == event.id
    assert event.received_at >= event.occurred_at > 1_700_000_000_000_000


def test_interactions_are_shown_with_every_kind_of_facts_and_without() -> None:
    shown = {type(getattr(record_of(example), "facts", None)) for example in AVRO}
    assert shown >= {*records.Facts.__args__, type(None)}
    assert Configuration in shown


def test_the_evidence_of_a_verdict_adds_up_to_what_elapsed() -> None:
    verdicts = [verdict for example in AVRO if isinstance(verdict := record_of(example), SlaVerdictIssued)]
    assert {verdict.outcome for verdict in verdicts} >= {"warned", "breached"}
    for verdict in verdicts:
        assert sum(interval.counted for interval in verdict.evidence) == verdict.elapsed


@pytest.mark.parametrize("example", [one for one in ALL if one.topic == "interaction-received-dlq"], ids=str)
def test_a_dead_letter_keeps_bytes_that_are_no_record_and_says_why(example: Example) -> None:
    with pytest.raises(NotDecodable):
        Codec().decode(base64.b64decode(example.value))
    assert {"id", "reason", "detail", "stage", "source"} <= set(example.headers)


def test_the_changelogs_examples_restore() -> None:
    restoring = Restoring()
    for example in ALL:
        if example.topic != "casework-changelog":
            continue
        if example.key == POSITION.decode():
            item = position_entry(msgspec.convert(example.value, Position))
        else:
            state = msgspec.convert(example.value["state"], CustomerState)
            assert json.loads(msgspec.json.encode(state)) == example.value["state"]
            item = entry(str(example.key).encode(), example.value["applied"], msgspec.msgpack.encode(state))
        restoring.read(item.key or b"", item.value, item.headers)
    restored = restoring.result()
    assert restored.position.next > max(applied for applied, _ in restored.values.values())


def test_every_topic_has_examples() -> None:
    assert {example.topic for example in ALL} == set(topics())
