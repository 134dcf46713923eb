"""Finds the SQL that stands in ``.sql`` files beside a store, so that no statement stands inside Python.

A file holds statements separated by blank lines. A statement that a store runs begins with ``-- name: <its name>``,
and a name is used once per folder.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_MARK = "-- name:"


def statements(package_file: str, file: str) -> list[str]:
    """All statements of ``file`` beside ``package_file``, in order, without the comments between them."""
    text = (Path(package_file).parent / file).read_text(encoding="utf-8")
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip() and not line.lstrip().startswith("--")]
        if lines:
            found.append("\n".join(lines).rstrip().rstrip(";"))
    return found


@cache
def _named(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        for block in file.read_text(encoding="utf-8").split(_MARK)[1:]:
            name, _, statement = block.partition("\n")
            if name.strip() in found:
                raise ValueError(f"{file}: a second statement named {name.strip()!r} in this folder; rename one")
            found[name.strip()] = statement.strip().rstrip(";")
    return found


def load(package_file: str, name: str) -> str:
    """The statement called ``name`` in the ``.sql`` files beside ``package_file``; with ``.sql``: the whole file."""
    folder = Path(package_file).parent
    if name.endswith(".sql"):
        return (folder / name).read_text(encoding="utf-8")
    try:
        return _named(folder)[name]
    except KeyError:
        raise LookupError(f"no statement '{_MARK} {name}' in the .sql files of {folder}") from None
