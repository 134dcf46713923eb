"""Hypothesis strategies for the hub's records, made from their field types, so that a new field is covered at once."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from schemas import records

_LONG = st.integers(-(2**63), 2**63 - 1)


def of_type(kind: Any) -> st.SearchStrategy[Any]:  # Any: annotations are no types
    """Values of a field's type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of([of_type(part) for part in parts])
    if origin is list:
        return st.lists(of_type(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(), of_type(parts[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: of_type(field.type) for field in msgspec.structs.fields(kind)})
    plain = {str: st.text(), int: _LONG, bool: st.booleans(), bytes: st.binary(), types.NoneType: st.none()}
    return plain[kind]


values = st.one_of([of_type(cls) for cls in records.Value.__args__])
"""Any record that travels as Avro."""
