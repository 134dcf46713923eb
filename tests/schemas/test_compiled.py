"""The readers and writers made from our schemas against fastavro's: the same bytes, the same records, the same no."""

from __future__ import annotations

import io
from typing import Any, cast

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import compiled, records
from schemas.codec import parse, schema_of
from schemas.records import Actor, InteractionReceived, TicketCommand, TimeAdvanced
from tests.schemas.strategies import values

CLASSES = {name: each for name, each in vars(records).items() if isinstance(each, type)}
RECORDS = cast("tuple[type[msgspec.Struct], ...]", records.Value.__args__)
MADE = {cls: (compiled.reader(schema_of(cls), CLASSES), compiled.writer(schema_of(cls), CLASSES)) for cls in RECORDS}
FASTAVRO = {cls: parse(schema_of(cls)) for cls in RECORDS}
TAGS = {f"hub.interaction.{cls.__name__}": cls.__struct_config__.tag for cls in records.Facts.__args__}


def by_fastavro(record: msgspec.Struct) -> bytes:
    """What fastavro writes for a record, told which branch of each union it is."""
    plain = msgspec.to_builtins(record, builtin_types=(bytes,))
    facts = getattr(record, "facts", None)
    if facts is not None:
        plain["facts"] = (f"hub.interaction.{type(facts).__name__}", plain["facts"])
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, FASTAVRO[type(record)], plain)
    return buffer.getvalue()


def read_by_fastavro(cls: type[msgspec.Struct], data: bytes) -> tuple[msgspec.Struct, int]:
    """The record fastavro finds in the bytes, and where it ends."""
    buffer = io.BytesIO(data)
    plain = cast("dict[str, Any]", fastavro.schemaless_reader(buffer, FASTAVRO[cls], None, return_record_name=True))
    for name, value in plain.items():
        if isinstance(value, tuple):
            plain[name] = value[1] | ({"kind": TAGS[value[0]]} if name == "facts" else {})
    return msgspec.convert(plain, cls, builtin_types=(bytes,)), buffer.tell()


def made(record: msgspec.Struct) -> bytes:
    """What the writer that was made writes."""
    return MADE[type(record)][1](record, b"")


@given(values)
def test_both_write_the_same_bytes_and_read_the_same_record(record: msgspec.Struct) -> None:
    data = made(record)
    assert data == by_fastavro(record)
    assert MADE[type(record)][0](data, 0) == (record, len(data)) == read_by_fastavro(type(record), data)


@given(values, st.data())
def test_of_broken_bytes_both_say_the_same_or_ours_refuses_them(record: msgspec.Struct, data: st.DataObject) -> None:
    whole = bytearray(made(record))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not whole:
            return
    cls = type(record)
    try:
        found = MADE[cls][0](bytes(whole), 0)
    except (IndexError, ValueError):
        return
    if found[1] <= len(whole):
        assert found == read_by_fastavro(cls, bytes(whole))


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_long_comes_back(now: int) -> None:
    data = made(TimeAdvanced(now))
    assert data == by_fastavro(TimeAdvanced(now))
    assert MADE[TimeAdvanced][0](data, 0) == (TimeAdvanced(now), len(data))


@pytest.mark.parametrize("now", [2**63, -(2**63) - 1, 10**30])
def test_a_number_beyond_64_bits_is_refused(now: int) -> None:
    with pytest.raises(OverflowError):
        made(TimeAdvanced(now))


def test_a_value_of_another_type_is_refused() -> None:
    made(TimeAdvanced(9_000))
    for wrong in ("9000", 9_000.0, None, 5.0):
        with pytest.raises(TypeError):
            made(TimeAdvanced(cast("int", wrong)))
    event = InteractionReceived("1", "t", "t", "s", "c", "d", 1, 2, "v")
    for name, other in {"id": 7, "text": b"bytes", "facts": Actor("agent"), "contact_points": ["a word"]}.items():
        with pytest.raises((TypeError, AttributeError)):
            made(msgspec.structs.replace(event, **{name: other}))


READ = MADE[InteractionReceived][0]
EVENT = made(InteractionReceived("1", "t", "t", "s", "c", "d", 1, 2, "v", facts=TicketCommand(tags=["a", "b"])))
BLOCKS = EVENT.index(b"\x04\x02a\x02b\x00")


@pytest.mark.parametrize(
    ("blocks", "tags"),
    [
        (b"\x04\x02a\x02b\x00", ["a", "b"]),
        (b"\x02\x02a\x02\x02b\x00", ["a", "b"]),
        (b"\x03\x08\x02a\x02b\x00", ["a", "b"]),  # a negative count comes with the block's size in bytes
        (b"\x00", []),
    ],
)
def test_other_writers_may_cut_lists_into_blocks(blocks: bytes, tags: list[str]) -> None:
    data = EVENT[:BLOCKS] + blocks + EVENT[BLOCKS + 6 :]
    found, end = READ(data, 0)
    assert end == len(data)
    assert found.facts == TicketCommand(tags=tags)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"\x01" + EVENT[1:], "negative length"),
        (b"\x80" * 10 + b"\x01", "ten bytes"),
        (b"\xff" * 9 + b"\x7f", "64 bits"),
    ],
)
def test_lengths_that_can_not_be_are_refused_at_once(broken: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        READ(broken, 0)


def test_a_schema_with_what_is_not_known_here_is_refused() -> None:
    for kind in (["string", "null"], {"type": "fixed", "name": "F", "size": 4}):
        schema = {"type": "record", "name": "TimeAdvanced", "fields": [{"name": "now", "type": kind}]}
        for make in (compiled.reader, compiled.writer):
            with pytest.raises(ValueError, match=r"union|fixed"):
                make(schema, CLASSES)
