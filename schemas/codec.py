"""Records to bytes and back: Avro in the Confluent wire format, with schema numbers pinned in ``ids.yaml``.

Records written with a former schema of ours are read through ``accepted/``, where each schema stands that is on a log.
A record written under any other number (another writer's version, known to a schema registry) is decoded through the
writer's schema once ``learn`` was told it; the codec itself never talks to a network.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import fastavro
import msgspec
import yaml
from fastavro.types import Schema

from schemas import compatibility, records

FOLDER = Path(__file__).parent
NAMESPACE = "hub.interaction"
_HEADER = struct.Struct(">bI")
_FACTS = {
    cls.__struct_config__.tag: f"{NAMESPACE}.{cls.__name__}"
    for cls in cast("tuple[type[msgspec.Struct], ...]", records.Facts.__args__)
}
_TAGS = {name.rpartition(".")[2]: tag for tag, name in _FACTS.items()}
R = TypeVar("R", bound=msgspec.Struct)


class NotDecodable(Exception):
    """The bytes are not a record of the hub. ``reason``: not-wire-format, unknown-schema, not-avro or not-valid."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def _plain(node: object) -> object:
    """The schema without logical types: fastavro would make a datetime of every instant, at five times the cost."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "logicalType"}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def parse(schema: object) -> Schema:
    """A schema as fastavro wants it, instants left as integers."""
    return fastavro.parse_schema(cast("Schema", _plain(schema)))


@cache
def schema_of(cls: type[msgspec.Struct]) -> dict[str, Any]:  # Any: a JSON document
    """The Avro schema of a record class as it stands in ``avro/``, logical types included."""
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("-")
    return cast("dict[str, Any]", json.loads((FOLDER / "avro" / f"{name}.avsc").read_text()))


@cache
def pinned_ids() -> dict[str, int]:
    """Record name to schema number, from ``ids.yaml``."""
    return cast("dict[str, int]", yaml.safe_load((FOLDER / "ids.yaml").read_text()))


@cache
def accepted(folder: Path = FOLDER / "accepted") -> dict[int, dict[str, Any]]:  # Any: JSON documents
    """Every schema of ours that is on a log, by its number: ``accepted/<record>.<number>.avsc``."""
    return {int(path.suffixes[-2][1:]): json.loads(path.read_text()) for path in sorted(folder.glob("*.*.avsc"))}


def _optional_records(cls: type[msgspec.Struct]) -> dict[str, str]:
    """The fields that hold a record or null, with the record's full name, or empty where it is one of several.

    fastavro gives them as (record name, record); given them so, it need not try which record fits.
    """
    found: dict[str, str] = {}
    for field in schema_of(cls)["fields"]:
        branches = field["type"] if isinstance(field["type"], list) else []
        names = [branch["name"] for branch in branches if isinstance(branch, dict) and "fields" in branch]
        if names:
            found[field["name"]] = f"{NAMESPACE}.{names[0]}" if len(names) == 1 else ""
    return found


class Codec:
    """Encodes and decodes the hub's records. ``ids`` replaces pinned numbers by those a registry gave.

    Records under pinned and accepted numbers stay readable; a registry's number that is one of them for something else
    is a ``ValueError``, since records on the log could not be told apart.
    """

    def __init__(self, ids: Mapping[str, int] | None = None) -> None:
        self._writers: dict[type[msgspec.Struct], tuple[bytes, Schema]] = {}
        self._readers: dict[int, tuple[Schema, Schema | None, type[msgspec.Struct]]] = {}
        self._classes = {cls.__name__: cls for cls in records.Value.__args__}
        self._optional = {cls: _optional_records(cls) for cls in self._classes.values()}
        for number, former in accepted().items():
            self.learn(number, former)
        for name, cls in self._classes.items():
            number = pinned_ids()[name]
            self._use(cls, number, parse(schema_of(cls)))
        ours = set(self._readers)
        for name, number in (ids or {}).items():
            if number in ours and number != pinned_ids()[name]:
                raise ValueError(f"the registry's number {number} for {name} is pinned for another schema in ids.yaml")
            cls = self._classes[name]
            self._use(cls, number, self._writers[cls][1])

    def _use(self, cls: type[msgspec.Struct], number: int, schema: Schema) -> None:
        self._readers[number] = (schema, None, cls)
        self._writers[cls] = (_HEADER.pack(0, number), schema)

    def knows(self, number: int) -> bool:
        """Whether records under this schema number can be decoded."""
        return number in self._readers

    def numbers(self) -> frozenset[int]:
        """Every schema number that can be decoded now."""
        return frozenset(self._readers)

    def learn(self, number: int, writer: Mapping[str, object]) -> None:
        """Make records decodable that were written with another version of one of our schemas.

        ``writer`` is the writer's schema as JSON. Raises ``NotDecodable`` when it is no version of a record of ours, or
        when an instant in it has another unit: Avro would read milliseconds as microseconds without a word.
        """
        name = str(writer.get("name", "")).rpartition(".")[2]
        cls = self._classes.get(name)
        if cls is None:
            raise NotDecodable("unknown-schema", f"schema {number} is a {name!r}, which the hub has no record for")
        try:
            schema = parse(writer)
            found = compatibility.breaks(writer, schema_of(cls))
            same = compatibility.shape(writer) == compatibility.shape(schema_of(cls))
        except Exception as error:  # a registry may hold anything: KeyError, SchemaParseException, UnknownType, …
            raise NotDecodable("unknown-schema", f"schema {number} is not Avro: {error!r}") from error
        for wrong in found:
            if wrong.reason is compatibility.Reason.UNIT:
                raise NotDecodable("unknown-schema", f"schema {number}: {wrong}")
        self._readers[number] = (schema, None if same else parse(schema_of(cls)), cls)

    def encode(self, record: msgspec.Struct) -> bytes:
        """One record in the Confluent wire format."""
        header, schema = self._writers[type(record)]
        plain = cast("dict[str, Any]", msgspec.to_builtins(record, builtin_types=(bytes,)))
        for field, name in self._optional[type(record)].items():
            body = plain.get(field)
            if body is not None:
                plain[field] = (name or _FACTS[body["kind"]], body)
        buffer = io.BytesIO()
        buffer.write(header)
        fastavro.schemaless_writer(buffer, schema, plain)
        return buffer.getvalue()

    def decode(self, data: bytes) -> records.Value:
        """The record in ``data``. Raises ``NotDecodable`` with its reason, whatever the bytes are."""
        if len(data) < _HEADER.size or data[0] != 0:
            raise NotDecodable("not-wire-format", "a value begins with 0x00 and four bytes of schema number")
        number = int.from_bytes(data[1:5], "big")
        reader = self._readers.get(number)
        if reader is None:
            raise NotDecodable("unknown-schema", f"schema {number} is neither pinned nor learned from a registry")
        writer_schema, reader_schema, cls = reader
        buffer = io.BytesIO(data)
        buffer.seek(_HEADER.size)
        try:
            plain = cast(
                "dict[str, Any]",
                fastavro.schemaless_reader(buffer, writer_schema, reader_schema, return_record_name=True),
            )
        except Exception as error:  # fastavro raises whatever the bytes make it trip over: EOFError, IndexError, …
            raise NotDecodable("not-avro", f"{cls.__name__}: {error!r}") from error
        if buffer.tell() != len(data):
            rest = len(data) - buffer.tell()
            raise NotDecodable(
                "not-avro", f"{cls.__name__}: {rest} bytes left over: {number} is not its writer's schema"
            )
        for field in self._optional[cls]:
            if isinstance(plain[field], tuple):
                name, body = plain[field]
                if field == "facts":
                    body["kind"] = _TAGS[name.rpartition(".")[2]]
                plain[field] = body
        try:
            return cast("records.Value", msgspec.convert(plain, cls, builtin_types=(bytes,)))
        except msgspec.ValidationError as error:
            raise NotDecodable("not-valid", f"{cls.__name__}: {error}") from error
