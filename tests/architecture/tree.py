"""The project's own files, without what tools and commands make, and without asking git, which may be absent."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from tests.shared import ROOT

_MADE = frozenset({"__pycache__", "build", "dist", "htmlcov"})
_KEPT = frozenset({".ci"})


@cache
def _all() -> tuple[Path, ...]:
    found: list[Path] = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [
            name
            for name in sorted(inner)
            if name not in _MADE and not name.endswith(".egg-info") and (not name.startswith(".") or name in _KEPT)
        ]
        found += [Path(folder) / name for name in sorted(names)]
    return tuple(found)


def files(*patterns: str) -> list[Path]:
    """The files whose path from the root fits one of ``patterns``, where ``*`` stands for folders, too; in order."""
    return [path for path in _all() if any(fnmatch(name(path), pattern) for pattern in patterns)]


def name(path: Path) -> str:
    """A file's path from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()
