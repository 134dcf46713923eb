"""Where the material is that lies beside the repository: real payloads and vectors, read by tests and never copied.

Tests that need it carry ``requires_shared``; in a clone without the folder they are skipped and say so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

requires_shared = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="needs the folder ../shared beside the repository (real payloads and vectors, which are no part of it)",
)


def shared_path(*parts: str) -> Path:
    """A file or folder of it, as ``shared_path("fixtures", "email")``; whether it exists is not checked."""
    return SHARED.joinpath(*parts)


def vector_names() -> list[str]:
    """The names of all vector files, without ``.json``; empty where the folder is absent."""
    return sorted(path.stem for path in shared_path("vectors").glob("*.json"))


# The shape of a vector differs with its op, so that no type but JSON's can be said.
def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of a file, each with the file's ``boundary`` if it states none; empty where the folder is absent."""
    path = shared_path("vectors", f"{name}.json")
    if not SHARED.is_dir():
        return []
    suite = json.loads(path.read_text(encoding="utf-8"))
    defaults = {"boundary": suite["boundary"]} if "boundary" in suite else {}
    return [defaults | vector for vector in suite["vectors"]]
