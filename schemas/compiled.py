"""Avro readers and writers made from our own schemas, straight from bytes to records and back.

fastavro goes through dicts, on which it tries each branch of a union; that took a third of a casework worker's time
(``bench/README.md``). The source made here from the same ``avro/*.avsc`` gives the same bytes and records at less than
half of it, and a property test holds the two against each other. Only what our schemas use is known here: string,
bytes, long, boolean, array, map, record, and null beside one of these or beside several records. Records under another
writer's schema stay fastavro's.

The same source, as a module (``native_module``), can be compiled by mypyc: it then reads four times as fast and writes
twice as fast (``deploy/native.py``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec

Read = Callable[[bytes, int], tuple[Any, int]]  # Any: the record that the schema names
Write = Callable[[Any, bytes], bytes]
_LONGEST = 63
#: The first numbers as Avro writes them: lengths, counts, branches.
_SMALL = [bytes((z,)) if (z := 2 * n) < 128 else bytes((z & 127 | 128, z >> 7)) for n in range(8192)]


def _read_long(data: bytes, at: int, low: int) -> tuple[int, int]:
    """The rest of a variable-length number whose first byte is ``low``; zigzag is the caller's."""
    number, shift = low & 127, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if number >> 64:
                raise ValueError("a long of more than 64 bits")
            return number, at
        shift += 7
        if shift > _LONGEST:
            raise ValueError("a long of more than ten bytes")


@lru_cache(maxsize=16_384, typed=True)  # typed: 5.0 is not to be found as 5
def _long(number: int) -> bytes:
    """A number as Avro writes a long; kept, since an instant stands in several records about one event.

    Raises ``OverflowError`` beyond 64 bits, ``TypeError`` for what is no integer.
    """
    z = number << 1 ^ number >> 63
    if z >> 49 and not z >> 56:  # an instant in microseconds has eight bytes
        return bytes(
            (
                z & 127 | 128,
                z >> 7 & 127 | 128,
                z >> 14 & 127 | 128,
                z >> 21 & 127 | 128,
                z >> 28 & 127 | 128,
                z >> 35 & 127 | 128,
                z >> 42 & 127 | 128,
                z >> 49,
            )
        )
    if z < 0 or z >> 64:
        raise OverflowError(f"{number} does not fit into a long")
    found = bytearray()
    while z > 127:
        found.append(z & 127 | 128)
        z >>= 7
    found.append(z)
    return bytes(found)


class _Source:
    """Lines of a function that is being made; each name in it is given out once. ``native``: to be compiled by mypyc,
    for which what is read has types, and what is written goes to a ``BytesWriter``, which mypyc knows."""

    def __init__(self, *, native: bool = False) -> None:
        self.lines: list[str] = []
        self.native = native
        self._count = 0

    def name(self) -> str:
        """A new variable."""
        self._count += 1
        return f"v{self._count}"

    def add(self, depth: int, *lines: str) -> None:
        """Lines at this depth."""
        self.lines += [" " * depth + line for line in lines]


def reader(schema: Mapping[str, Any], classes: Mapping[str, type[msgspec.Struct]]) -> Read:
    """A function from bytes and an offset to the record there and the offset after it.

    Raises IndexError, ValueError or UnicodeDecodeError on bytes that are not this schema's. A length may reach beyond
    the end of the bytes: the offset is then above their length, and the caller is to look.
    """
    source = _Source()
    _reading(source, "read", schema)
    return cast("Read", _made(source, "read", classes))


def writer(schema: Mapping[str, Any], classes: Mapping[str, type[msgspec.Struct]]) -> Write:
    """A function from a record, and bytes that come before it, to the bytes of both.

    Raises what Python does for a value of another type.
    """
    source = _Source()
    _writing(source, "write", schema)
    return cast("Write", _made(source, "write", classes))


def native_module(schemas: Sequence[Mapping[str, Any]], names: Sequence[str], home: str) -> str:
    """The source of a module with ``read_X`` and ``write_X`` of each schema X, for mypyc. ``names``: the record classes
    they use, of the module ``home``."""
    source = _Source(native=True)
    source.lines += [_NATIVE.format(names=", ".join(names), home=home), inspect.getsource(_read_long)]
    for schema in schemas:
        _reading(source, f"read_{schema['name']}", schema)
        _writing(source, f"write_{schema['name']}", schema)
    return "\n".join(source.lines).replace("_read_long", "read_long").replace("_LONGEST", str(_LONGEST)) + "\n"


_NATIVE = '''"""Made by deploy/native.py from the Avro schemas, for mypyc."""
from __future__ import annotations

from librt.strings import BytesWriter
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from mypy_extensions import i64

from {home} import {names}


def long(o: BytesWriter, number: i64) -> None:
    z = number << 1 ^ number >> 63
    while z & -128:
        o.append(z & 127 | 128)
        z = z >> 7 & 0x1FFFFFFFFFFFFFF
    o.append(z)


def text(o: BytesWriter, value: str) -> None:
    body = value.encode()
    long(o, len(body))
    o.write(body)


'''


def _made(source: _Source, name: str, classes: Mapping[str, type[msgspec.Struct]]) -> object:
    names: dict[str, object] = {"read_long": _read_long, "long": _long, "S": _SMALL} | dict(classes)
    lines = ["from __future__ import annotations", *source.lines]
    exec(compile("\n".join(lines), f"<{name} made from an Avro schema>", "exec"), names)
    return names[name]


def _reading(s: _Source, name: str, schema: Mapping[str, Any]) -> None:
    s.add(0, f"def {name}(d: bytes, i: int) -> tuple[{schema['name']}, int]:")
    _read(s, 1, schema, "r")
    s.add(1, "return r, i")


def _writing(s: _Source, name: str, schema: Mapping[str, Any]) -> None:
    s.add(0, f"def {name}(r: {schema['name']}, header: bytes) -> bytes:")
    s.add(1, *(("o = BytesWriter()", "o.write(header)") if s.native else ("o = bytearray(header)",)))
    _write(s, 1, schema, "r")
    s.add(1, "return o.getvalue()" if s.native else "return bytes(o)")


def _annotation(node: Any) -> str:  # Any: a JSON document
    kind = _kind(node)
    if kind == "union":
        return " | ".join([*(_annotation(inner) for _, inner in _branches(node)), "None"])
    if kind == "array":
        return f"list[{_annotation(node['items'])}]"
    if kind == "map":
        return f"dict[str, {_annotation(node['values'])}]"
    return {"string": "str", "long": "int", "boolean": "bool"}.get(kind) or (
        str(node["name"]) if kind == "record" else kind
    )


def _kind(node: object) -> str:
    if isinstance(node, str):
        return node
    return "union" if isinstance(node, list) else str(cast("Mapping[str, Any]", node)["type"])


def _read(s: _Source, depth: int, node: Any, to: str) -> None:  # Any: a JSON document
    kind = _kind(node)
    if kind in ("string", "bytes"):
        length = s.name()
        _read_number(s, depth, length, signed=False)
        end = s.name()
        s.add(depth, f"{end} = i + {length}", f"{to} = d[i:{end}]{'.decode()' if kind == 'string' else ''}")
        s.add(depth, f"i = {end}")
    elif kind == "long":
        _read_number(s, depth, to, signed=True)
    elif kind == "boolean":
        s.add(depth, f"{to} = d[i] == 1", "if d[i] > 1:", " raise ValueError('a boolean is 0 or 1')", "i += 1")
    elif kind == "record":
        fields = [(s.name(), field["type"]) for field in node["fields"]]
        for name, inner in fields:
            _read(s, depth, inner, name)
        s.add(depth, f"{to} = {node['name']}({', '.join(name for name, _ in fields)})")
    elif kind == "union":
        branch = s.name()
        s.add(depth, f"{branch} = d[i]", "i += 1", f"if {branch} == 0:")
        s.add(depth + 1, f"{to}: {_annotation(node)} = None" if s.native else f"{to} = None")
        for number, inner in _branches(node):
            s.add(depth, f"elif {branch} == {2 * number}:")
            _read(s, depth + 1, inner, to)
        s.add(depth, "else:", " raise ValueError('no branch of the union')")
    else:
        _read_blocks(s, depth, node, to, kind)


def _read_number(s: _Source, depth: int, to: str, *, signed: bool) -> None:
    s.add(depth, f"{to} = d[i]", "i += 1", f"if {to} > 127:", f" {to}, i = read_long(d, i, {to})")
    if signed:
        s.add(depth, f"{to} = ({to} >> 1) ^ -({to} & 1)")
    else:
        s.add(depth, f"if {to} & 1:", " raise ValueError('a negative length')", f"{to} >>= 1")


def _read_blocks(s: _Source, depth: int, node: Mapping[str, Any], to: str, kind: str) -> None:
    _only_blocks(kind)
    count, item = s.name(), s.name()
    s.add(depth, f"{to}{f': {_annotation(node)}' if s.native else ''} = {'[]' if kind == 'array' else '{}'}")
    s.add(depth, "while True:")
    _read_number(s, depth + 1, count, signed=True)
    s.add(depth + 1, f"if {count} == 0:", " break", f"if {count} < 0:", f" {count} = -{count}")
    _read_number(s, depth + 2, s.name(), signed=False)  # how many bytes the block has: only who skips it needs that
    s.add(depth + 1, f"for _ in range({count}):")
    if kind == "array":
        _read(s, depth + 2, node["items"], item)
        s.add(depth + 2, f"{to}.append({item})")
    else:
        key = s.name()
        _read(s, depth + 2, "string", key)
        _read(s, depth + 2, node["values"], item)
        s.add(depth + 2, f"{to}[{key}] = {item}")


def _write(s: _Source, depth: int, node: Any, value: str) -> None:  # Any: a JSON document
    kind = _kind(node)
    if s.native and kind in ("string", "bytes", "long"):
        written = {"string": f"text(o, {value})", "long": f"long(o, {value})"}
        s.add(depth, *([written[kind]] if kind in written else [f"long(o, len({value}))", f"o.write({value})"]))
    elif kind in ("string", "bytes"):
        body, length = s.name(), s.name()
        s.add(depth, f"{body} = {value}{'.encode()' if kind == 'string' else ''}", f"{length} = len({body})")
        s.add(depth, f"o += S[{length}] if {length} < 8192 else long({length})", f"o += {body}")
    elif kind == "long":
        s.add(depth, f"o += S[{value}] if 0 <= {value} < 8192 else long({value})")
    elif kind == "boolean":
        s.add(depth, f"o.append(1 if {value} else 0)")
    elif kind == "record":
        for field in node["fields"]:
            name = s.name()
            s.add(depth, f"{name} = {value}.{field['name']}")
            _write(s, depth, field["type"], name)
    elif kind == "union":
        _write_branch(s, depth, node, value)
    else:
        _only_blocks(kind)
        s.add(depth, f"if {value}:")
        s.add(depth + 1, f"long(o, len({value}))" if s.native else f"o += long(len({value}))")
        item = s.name()
        if kind == "array":
            s.add(depth + 1, f"for {item} in {value}:")
            _write(s, depth + 2, node["items"], item)
        else:
            key = s.name()
            s.add(depth + 1, f"for {key}, {item} in {value}.items():")
            _write(s, depth + 2, "string", key)
            _write(s, depth + 2, node["values"], item)
        s.add(depth, "o.append(0)")


def _only_blocks(kind: str) -> None:
    if kind not in ("array", "map"):
        raise ValueError(f"{kind} is not among the types that are known here; see the module's first lines")


def _write_branch(s: _Source, depth: int, node: Sequence[Any], value: str) -> None:
    branches = list(_branches(node))
    s.add(depth, f"if {value} is None:", " o.append(0)")
    for number, inner in branches:
        s.add(depth, "else:" if len(branches) == 1 else f"elif type({value}) is {inner['name']}:")
        s.add(depth + 1, f"o.append({2 * number})")
        _write(s, depth + 1, inner, value)
    if len(branches) > 1:
        s.add(depth, "else:", f" raise TypeError(f'{{type({value}).__name__}} is no branch of the union')")


def _branches(node: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The branches of a union after its null, which is its first."""
    if node[0] != "null" or len(node) > 64:
        raise ValueError(f"a union begins with null and has at most 64 branches: {node}")
    return enumerate(node[1:], 1)
