"""Reads the examples of ``schemas/examples``: one record of a topic each, with its key, headers and value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import schemas

FOLDER = Path(schemas.__file__).parent / "examples"


class Example(NamedTuple):
    """``value``: JSON of the record; bytes in it, and a dead letter's value as a whole, are base64."""

    topic: str
    name: str
    record: str | None
    key: str | None
    headers: dict[str, str]
    value: Any  # any JSON

    def __str__(self) -> str:
        return f"{self.topic}/{self.name}"


def examples() -> list[Example]:
    """All of them, in order of topic and name."""
    found = []
    for path in sorted(FOLDER.glob("*/*.json")):
        told = json.loads(path.read_text())
        found.append(
            Example(path.parent.name, path.stem, told.get("record"), told["key"], told["headers"], told["value"])
        )
    return found
