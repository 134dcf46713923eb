"""What is on a log stays readable: our schemas against the accepted ones, and the check itself against Avro."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from schemas import records
from schemas.codec import accepted, parse, pinned_ids, schema_of
from schemas.compatibility import Reason, breaks, shape
from schemas.records import SlaVerdictIssued, TicketChanged

CLASSES = {cls.__name__: cls for cls in records.Value.__args__}
Schema = dict[str, Any]


@pytest.mark.parametrize("number", accepted())
def test_the_present_schema_reads_what_is_on_the_log(number: int) -> None:
    former = accepted()[number]
    assert breaks(former, schema_of(CLASSES[former["name"]])) == [], "records on the log could not be read any more"


@pytest.mark.parametrize("number", accepted())
def test_who_knows_an_accepted_schema_reads_what_is_written_now(number: int) -> None:
    # Services subscribe, and during an upgrade old workers read what new ones write. Only new branches may be added.
    former = accepted()[number]
    found = breaks(schema_of(CLASSES[former["name"]]), former)
    assert [str(one) for one in found if one.reason is not Reason.NO_BRANCH] == []


def test_each_number_in_use_stands_for_the_present_schema() -> None:
    for name, number in pinned_ids().items():
        assert shape(accepted()[number]) == shape(schema_of(CLASSES[name])), (
            f"{name} changed: give it the next free number in ids.yaml and add its schema to accepted/ under it"
        )


def field(schema: Schema, name: str) -> Schema:
    found: Schema = next(field for field in schema["fields"] if field["name"] == name)
    return found


def drop(name: str) -> Callable[[Schema], None]:
    return lambda schema: schema["fields"].remove(field(schema, name))


def retype(name: str, kind: object) -> Callable[[Schema], None]:
    return lambda schema: field(schema, name).update(type=kind)


def add(name: str, kind: object, **default: object) -> Callable[[Schema], None]:
    return lambda schema: schema["fields"].append({"name": name, "type": kind, **default})


def rename(schema: Schema) -> None:
    schema["name"] = "TicketAltered"


def in_clock(change: Callable[[Schema], None]) -> Callable[[Schema], None]:
    return lambda schema: change(field(schema, "clocks")["type"]["items"])


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
CHANGES: dict[str, tuple[Callable[[Schema], None], list[tuple[str, Reason]]]] = {
    "a new field with a default": (add("mood", ["null", "string"], default=None), []),
    "a field left out": (drop("subject"), []),
    "a wider number": (retype("version", "double"), []),
    "an optional field where there was a value": (retype("status", ["null", "string"]), []),
    "a new branch": (retype("queue", ["null", "string", "long"]), []),
    "a new field without default": (add("mood", "string"), [("TicketChanged.mood", Reason.NO_DEFAULT)]),
    "another type": (retype("status", "long"), [("TicketChanged.status", Reason.TYPE)]),
    "a narrower number": (retype("version", "int"), [("TicketChanged.version", Reason.TYPE)]),
    "text where there was a list": (retype("tags", "string"), [("TicketChanged.tags", Reason.TYPE)]),
    "other items": (
        retype("tags", {"type": "array", "items": "long"}),
        [("TicketChanged.tags[]", Reason.TYPE)],
    ),
    "a value where there was null": (retype("subject", "string"), [("TicketChanged.subject", Reason.NO_BRANCH)]),
    "another unit": (retype("opened_at", MILLIS), [("TicketChanged.opened_at", Reason.UNIT)]),
    "another unit in a union": (retype("closed_at", ["null", MILLIS]), [("TicketChanged.closed_at", Reason.UNIT)]),
    "another record": (rename, [("TicketAltered", Reason.TYPE)]),
    "a new field without default further in": (
        in_clock(add("mood", "string")),
        [("TicketChanged.clocks[].mood", Reason.NO_DEFAULT)],
    ),
    "text read as bytes further in": (
        in_clock(retype("metric", "bytes")),
        [],
    ),
    "a map where there was text further in": (
        in_clock(retype("metric", {"type": "map", "values": "string"})),
        [("TicketChanged.clocks[].metric", Reason.TYPE)],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_to_break_or_not(name: str) -> None:
    change, expected = CHANGES[name]
    reader = copy.deepcopy(schema_of(TicketChanged))
    change(reader)
    assert [(one.where, one.reason) for one in breaks(schema_of(TicketChanged), reader)] == expected


@pytest.mark.parametrize("name", [name for name in CHANGES if "unit" not in name and name != "another record"])
def test_avro_itself_agrees(name: str) -> None:
    # Units and the names of whole records are stricter here than in fastavro, which ignores them.
    change, expected = CHANGES[name]
    writer, reader = parse(schema_of(TicketChanged)), copy.deepcopy(schema_of(TicketChanged))
    change(reader)
    clock: Schema = {field["name"]: 1 for field in field(schema_of(TicketChanged), "clocks")["type"]["items"]["fields"]}
    clock |= dict.fromkeys(("metric", "state", "policy", "calendar"), "x") | {"warned": []}
    names = [field["name"] for field in schema_of(TicketChanged)["fields"] if "default" not in field]
    plain = {name: 1 if field(schema_of(TicketChanged), name)["type"] in ("long", MICROS) else "x" for name in names}
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, writer, plain | {"clocks": [clock], "tags": ["a"]})
    buffer.seek(0)
    if expected:
        with pytest.raises(Exception, match=r"."):  # fastavro has no one error for it
            fastavro.schemaless_reader(buffer, writer, parse(reader))
    else:
        fastavro.schemaless_reader(buffer, writer, parse(reader))


def test_enums_and_fixed_are_not_judged_but_refused() -> None:
    colour = {"type": "enum", "name": "Colour", "symbols": ["RED"]}
    schema = {"type": "record", "name": "Car", "fields": [{"name": "colour", "type": colour}]}
    assert [one.reason for one in breaks(schema, schema)] == [Reason.TYPE]


def test_a_record_named_twice_is_followed_once() -> None:
    node = {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "label", "type": "string"}, {"name": "next", "type": ["null", "Node"]}],
    }
    other = copy.deepcopy(node)
    assert breaks(node, other) == []
    other["fields"][0]["type"] = "long"  # type: ignore[index]  # a JSON document
    assert [one.where for one in breaks(node, other)] == ["Node.label"]


def test_the_shape_of_a_schema_is_what_decides_about_bytes() -> None:
    altered = copy.deepcopy(schema_of(SlaVerdictIssued))
    altered["doc"] = "other words"
    altered["fields"][0]["hub.personal"] = True
    altered["fields"][-1].pop("default")
    assert shape(altered) == shape(schema_of(SlaVerdictIssued))
    altered["fields"].reverse()
    assert shape(altered) != shape(schema_of(SlaVerdictIssued))
