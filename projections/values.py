"""How the values of a record are put into columns and got out again.

PostgreSQL stores any text but the character U+0000, which mails and chats do contain; it becomes U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

T = TypeVar("T")
_NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(value: str) -> str:
    """A text that PostgreSQL takes."""
    return value.replace("\x00", "\ufffd")


def storable_or_null(value: str | None) -> str | None:
    """A text that PostgreSQL takes, or nothing."""
    return value and value.replace("\x00", "\ufffd")


def texts(values: Iterable[str]) -> list[str]:
    """A column of text that PostgreSQL takes."""
    return [value.replace("\x00", "\ufffd") for value in values]


def texts_or_null(values: Iterable[str | None]) -> list[str | None]:
    """A column of text that PostgreSQL takes, in which some are missing."""
    return [value and value.replace("\x00", "\ufffd") for value in values]


def as_json(value: object) -> str:
    """A value as ``jsonb`` takes it."""
    encoded = msgspec.json.encode(value).decode()
    return encoded if "\\u0000" not in encoded else _NUL_IN_JSON.sub(r"\1\\ufffd", encoded)


def from_json(kind: type[T]) -> Callable[[str], T]:
    """A reader of ``jsonb`` text into ``kind``."""
    return msgspec.json.Decoder(kind).decode
