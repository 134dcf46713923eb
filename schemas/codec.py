"""Records to bytes and back: Avro in the Confluent wire format, with schema numbers pinned in ``ids.yaml``.

Records written with a former schema of ours are read through ``accepted/``, where each schema stands that is on a log.
A record written under any other number (another writer's version, known to a schema registry) is decoded through the
writer's schema once ``learn`` was told it; the codec itself never talks to a network.
"""

from __future__ import annotations

import importlib
import importlib.util
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

from schemas import compatibility, compiled, records

FOLDER = Path(__file__).parent
NAMESPACE = "hub.interaction"
NATIVE = "schemas.native"
"""Where ``deploy/native.py`` puts readers and writers; not among the sources."""
_HEADER = struct.Struct(">bI")
_TAGS = {
    cls.__name__: cls.__struct_config__.tag for cls in cast("tuple[type[msgspec.Struct], ...]", records.Facts.__args__)
}
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


@cache
def _compiled(cls: type[msgspec.Struct]) -> tuple[compiled.Read, compiled.Write]:
    if is_native():
        made = vars(importlib.import_module(NATIVE))
        return made[f"read_{cls.__name__}"], made[f"write_{cls.__name__}"]
    classes = {name: each for name, each in vars(records).items() if isinstance(each, type)}
    return compiled.reader(schema_of(cls), classes), compiled.writer(schema_of(cls), classes)


def is_native() -> bool:
    """Whether this process runs the native form (``deploy/native.py``), so far as it is there."""
    return importlib.util.find_spec(NATIVE) is not None


def native_source() -> str:
    """The source of ``schemas.native``: readers and writers of all records, for ``deploy/native.py`` to compile."""
    classes = [name for name, each in vars(records).items() if isinstance(each, type)]
    schemas = [schema_of(cls) for cls in cast("tuple[type[msgspec.Struct], ...]", records.Value.__args__)]
    return compiled.native_module(schemas, classes, records.__name__)


def _facts_named(plain: dict[str, Any]) -> dict[str, Any]:  # Any: what fastavro makes of Avro
    """What fastavro read, as ``msgspec.convert`` wants it: the record of a union says by its tag which one it is."""
    for name, value in plain.items():
        if isinstance(value, tuple):
            kind, plain[name] = value
            if name == "facts":
                plain[name]["kind"] = _TAGS[kind.rpartition(".")[2]]
    return plain


class Codec:
    """Encodes and decodes the hub's records. ``ids`` replaces pinned numbers by those a registry gave.

    Records under pinned and accepted numbers stay readable; a registry's number that is one of them for something else
    is a ``ValueError``, since records on the log could not be told apart.
    """

    def __init__(self, ids: Mapping[str, int] | None = None) -> None:
        self._writers: dict[type[msgspec.Struct], tuple[bytes, compiled.Write]] = {}
        self._readers: dict[int, tuple[type[msgspec.Struct], compiled.Read]] = {}
        self._classes = {cls.__name__: cls for cls in records.Value.__args__}
        for number, former in accepted().items():
            self.learn(number, former)
        for name, cls in self._classes.items():
            self._use(cls, pinned_ids()[name])
        ours = set(self._readers)
        for name, number in (ids or {}).items():
            if number in ours and number != pinned_ids()[name]:
                raise ValueError(f"the registry's number {number} for {name} is pinned for another schema in ids.yaml")
            self._use(self._classes[name], number)

    def _use(self, cls: type[msgspec.Struct], number: int) -> None:
        read, write = _compiled(cls)
        self._readers[number] = (cls, read)
        self._writers[cls] = (_HEADER.pack(0, number), write)

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
        self._readers[number] = (cls, _compiled(cls)[0] if same else _resolving(schema, cls))

    def encode(self, record: msgspec.Struct) -> bytes:
        """One record in the Confluent wire format. Raises what Python does for a value of a wrong type."""
        header, write = self._writers[type(record)]
        return write(record, header)

    def decode(self, data: bytes) -> records.Value:
        """The record in ``data``. Raises ``NotDecodable`` with its reason, whatever the bytes are."""
        if len(data) < _HEADER.size or data[0] != 0:
            raise NotDecodable("not-wire-format", "a value begins with 0x00 and four bytes of schema number")
        number = int.from_bytes(data[1:5], "big")
        reader = self._readers.get(number)
        if reader is None:
            raise NotDecodable("unknown-schema", f"schema {number} is neither pinned nor learned from a registry")
        cls, read = reader
        try:
            found, end = read(data, _HEADER.size)
        except msgspec.ValidationError as error:
            raise NotDecodable("not-valid", f"{cls.__name__}: {error}") from error
        except Exception as error:  # whatever the bytes make a reader trip over: EOFError, IndexError, …
            raise NotDecodable("not-avro", f"{cls.__name__}: {error!r}") from error
        if end != len(data):
            amount = f"{len(data) - end} bytes left over" if end < len(data) else f"{end - len(data)} bytes too few"
            raise NotDecodable("not-avro", f"{cls.__name__}: {amount}: {number} is not its writer's schema")
        return cast("records.Value", found)


def _resolving(schema: Schema, cls: type[msgspec.Struct]) -> compiled.Read:
    """A reader of what was written with another schema than ours."""
    ours = parse(schema_of(cls))

    def read(data: bytes, at: int) -> tuple[msgspec.Struct, int]:
        buffer = io.BytesIO(data)
        buffer.seek(at)
        plain = cast("dict[str, Any]", fastavro.schemaless_reader(buffer, schema, ours, return_record_name=True))
        return msgspec.convert(_facts_named(plain), cls, builtin_types=(bytes,)), buffer.tell()

    return read
