"""The record classes and the Avro files say the same, field by field, and what is personal is marked."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest

from schemas import records
from schemas.codec import NAMESPACE, schema_of

INSTANTS = {"now", "begin", "end"}
CLASSES = {
    name: cls
    for name, cls in vars(records).items()
    if isinstance(cls, type) and issubclass(cls, msgspec.Struct) and cls is not msgspec.Struct
}
Node = Any  # a JSON schema


def records_in(node: Node) -> Iterator[dict[str, Any]]:
    """Every record defined in a schema, the outermost first."""
    if isinstance(node, list):
        for part in node:
            yield from records_in(part)
    elif isinstance(node, dict):
        if node.get("type") == "record":
            yield node
        for key in ("type", "items", "values", "fields"):
            if isinstance(node.get(key), dict | list):
                yield from records_in(node[key])


SCHEMAS = [(cls.__name__, node) for cls in records.Value.__args__ for node in records_in(schema_of(cls))]


def avro(kind: Any, name: str) -> Node:
    """The Avro type that a field's annotation stands for."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return ["null", *(avro(part, name) for part in parts if part is not types.NoneType)]
    if origin is list:
        return {"type": "array", "items": avro(parts[0], name)}
    if origin is dict:
        return {"type": "map", "values": avro(parts[1], name)}
    if kind is int:
        instant = name in INSTANTS or name.endswith("_at")
        return {"type": "long", "logicalType": "timestamp-micros"} if instant else "long"
    return {str: "string", bool: "boolean", bytes: "bytes"}.get(kind) or {"record": kind.__name__}


def without_bodies(node: Node) -> Node:
    """A type with nested records replaced by their names."""
    if isinstance(node, list):
        return [without_bodies(part) for part in node]
    if isinstance(node, dict):
        if node.get("type") == "record":
            return {"record": node["name"]}
        return {key: without_bodies(value) for key, value in node.items()}
    return node


def default(field: msgspec.structs.FieldInfo) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return msgspec.NODEFAULT if field.default_factory is msgspec.NODEFAULT else field.default_factory()


@pytest.mark.parametrize(("outer", "schema"), SCHEMAS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_record_class_and_its_schema_are_equal(outer: str, schema: dict[str, Any]) -> None:
    cls = CLASSES[schema["name"]]
    fields = msgspec.structs.fields(cls)
    assert [field["name"] for field in schema["fields"]] == [field.name for field in fields]
    for told, field in zip(schema["fields"], fields, strict=True):
        assert without_bodies(told["type"]) == avro(field.type, field.name), f"{outer}: {cls.__name__}.{field.name}"
        assert told.get("default", msgspec.NODEFAULT) == default(field), f"{outer}: {cls.__name__}.{field.name}"
    assert schema["namespace"] == NAMESPACE
    assert schema["doc"].split() == (cls.__doc__ or "").replace("``", "").split(), "one description, in both places"
    assert len(schema["doc"]) > 20


def test_every_record_class_travels_in_some_schema() -> None:
    assert {schema["name"] for _, schema in SCHEMAS} == set(CLASSES)


PERSONAL = {
    "Actor": {"id"},
    "Attachment": {"name"},
    "CallFacts": {"transferred_to"},
    "ContactPoint": {"value", "as_given"},
    "CustomerContext": {"orders"},
    "InteractionReceived": {"conversation", "subject", "text", "attributes"},
    "Interval": {"person"},
    "MailFacts": {"message_id", "in_reply_to", "references", "mailbox"},
    "MessageFacts": {"message_id", "in_reply_to"},
    "Raw": {"inline"},
    "SlaVerdictIssued": {"subject", "person"},
    "SurveyFacts": {"question"},
    "TicketChanged": {"subject", "person", "conversations", "about", "fields"},
    "TicketCommand": {"person", "comment", "about", "fields", "origin"},
    "TimelineEntryAdded": {"conversation", "contact_point", "subject", "text", "about"},
}
"""Every field that holds names, addresses or what people said; a WhatsApp message id holds the sender's number, and a
mail's conversation is a Message-ID."""

TELLING = {"subject", "text", "comment", "person", "conversation", "conversations", "contact_point", "mailbox"}
"""Field names that mean the same in every record."""


def test_personal_fields_are_marked_and_no_others() -> None:
    marked: dict[str, set[str]] = {}
    for outer, schema in SCHEMAS:
        names = {field["name"] for field in schema["fields"] if field.get("hub.personal") is True}
        assert names == PERSONAL.get(schema["name"], set()), f"{schema['name']} in {outer}"
        marked.setdefault(schema["name"], set()).update(names)
    assert {name: names for name, names in marked.items() if names} == PERSONAL


def test_a_telling_name_is_personal_wherever_it_stands() -> None:
    for outer, schema in SCHEMAS:
        telling = {field["name"] for field in schema["fields"]} & TELLING
        assert telling <= PERSONAL.get(schema["name"], set()), f"{schema['name']} in {outer}"
