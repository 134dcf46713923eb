"""Whether records written with one Avro schema can be read with another: what a change to a schema must keep.

The rules are those of "Schema Resolution" in the Avro 1.12 specification, without aliases, enums and fixed (the hub
uses none; they count as breaks), and stricter on logical types: Avro would read milliseconds as microseconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_WIRE = ("type", "name", "namespace", "fields", "items", "values", "symbols", "size", "logicalType")
Node = Any  # a JSON schema: a name, a union as a list, or an object


class Reason(StrEnum):
    """Why records can't be read."""

    TYPE = "the type is another one"
    NO_BRANCH = "a branch of a union is missing, so records that use it can't be read"
    NO_DEFAULT = "a field is missing in what was written, and has no default"
    UNIT = "the logical type is another one: records would be read, but wrongly"


class Break(NamedTuple):
    """One thing that can't be read. ``where``: the path of fields to it."""

    where: str
    reason: Reason
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def shape(node: Node) -> Node:
    """What of a schema decides about its bytes: no documentation, defaults or marks."""
    if isinstance(node, dict):
        return {key: shape(value) if key != "name" else value for key, value in node.items() if key in _WIRE}
    return [shape(part) for part in node] if isinstance(node, list) else node


def breaks(writer: Node, reader: Node) -> list[Break]:
    """Why data written with ``writer`` can't all be read with ``reader``; empty if it can. Both as parsed JSON."""
    return _Comparison(writer, reader).compare(writer, reader, _short(reader) or "schema")


def _short(node: Node) -> str:
    """The name of a record without its namespace; Avro compares no more than that."""
    return str(node.get("name", "")).rpartition(".")[2] if isinstance(node, dict) else ""


def _kind(node: Node) -> str:
    if isinstance(node, list):
        return "union"
    kind = node["type"] if isinstance(node, dict) else node
    return _kind(kind) if isinstance(kind, dict | list) else str(kind)


def _named(node: Node, found: dict[str, Node]) -> dict[str, Node]:
    """Every record defined inside a schema, by its short and its full name."""
    if isinstance(node, list):
        for part in node:
            _named(part, found)
    elif isinstance(node, dict):
        if node.get("type") == "record":
            found[_short(node)] = node
            found[f"{node.get('namespace', '')}.{_short(node)}".lstrip(".")] = node
        for key in ("type", "items", "values", "fields"):
            if isinstance(node.get(key), dict | list):
                _named(node[key], found)
    return found


class _Comparison:
    def __init__(self, writer: Node, reader: Node) -> None:
        self._writer_names = _named(writer, {})
        self._reader_names = _named(reader, {})
        self._open: set[tuple[str, str]] = set()

    def compare(self, writer: Node, reader: Node, where: str) -> list[Break]:
        writer, reader = self._resolve(writer, self._writer_names), self._resolve(reader, self._reader_names)
        if isinstance(writer, list):
            return [found for branch in writer for found in self._branch(branch, reader, where)]
        if isinstance(reader, list):
            return self._branch(writer, reader, where)
        one, other = _kind(writer), _kind(reader)
        if one == "record" and other == "record":
            return self._record(writer, reader, where)
        if one in ("array", "map") and one == other:
            key = "items" if one == "array" else "values"
            return self.compare(writer[key], reader[key], f"{where}[]")
        if one in ("enum", "fixed", "record") or other not in {one} | _PROMOTIONS.get(one, set()):
            return [Break(where, Reason.TYPE, f"was {one}, is {other}")]
        units = [node.get("logicalType") if isinstance(node, dict) else None for node in (writer, reader)]
        if all(units) and units[0] != units[1]:
            return [Break(where, Reason.UNIT, f"was {units[0]}, is {units[1]}")]
        return []

    def _resolve(self, node: Node, names: dict[str, Node]) -> Node:
        if isinstance(node, dict) and isinstance(node["type"], dict | list):
            return self._resolve(node["type"], names)
        return names.get(node, node) if isinstance(node, str) else node

    def _branch(self, writer: Node, reader: Node, where: str) -> list[Break]:
        """One branch of the writer's union against the reader's branches, or its only type."""
        branches = reader if isinstance(reader, list) else [reader]
        tried = [self.compare(writer, branch, where) for branch in branches if self._same_kind(writer, branch)]
        if not tried:
            return [Break(where, Reason.NO_BRANCH, f"no branch for {self._name(writer, self._writer_names)}")]
        return min(tried, key=len)

    def _name(self, node: Node, names: dict[str, Node]) -> str:
        resolved = self._resolve(node, names)
        return _short(resolved) or _kind(resolved)

    def _same_kind(self, writer: Node, reader: Node) -> bool:
        one, other = self._name(writer, self._writer_names), self._name(reader, self._reader_names)
        return one == other or other in _PROMOTIONS.get(one, set())

    def _record(self, writer: Node, reader: Node, where: str) -> list[Break]:
        pair = (_short(writer), _short(reader))
        if pair[0] != pair[1]:
            return [Break(where, Reason.TYPE, f"was {pair[0]}, is {pair[1]}")]
        if pair in self._open:
            return []
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        found = []
        for field in reader["fields"]:
            place = f"{where}.{field['name']}"
            if field["name"] in written:
                found += self.compare(written[field["name"]]["type"], field["type"], place)
            elif "default" not in field:
                found.append(Break(place, Reason.NO_DEFAULT, "is not in what was written, and has no default"))
        self._open.discard(pair)
        return found
