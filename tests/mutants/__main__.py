"""``python -m tests.mutants [NAME…]``: changes the rules in one small way after another; a test has to fail each time.

mutmut works in a folder of its own (``.local/mutants``, with the sources and the tests of ``domain``), so that nothing
is changed here. NAME chooses mutants by pattern, as ``domain.sla.*``. Ends with 1 if fewer than 95 % are killed of
business time's or of the clocks' mutants, or one survives that docs/mutants.md does not explain. A mutant with which a
test goes on for ever counts as killed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".local" / "mutants"
EXPLAINED = ROOT / "docs" / "mutants.md"
COPIED = (
    "pyproject.toml",
    "domain",
    "schemas",
    "tests/__init__.py",
    "tests/shared.py",
    "tests/domain",
    "tests/mutants",
)
LEAST = 95.0  # percent
_TIME = "domain.business_time"
_RESULT = re.compile(r"^\s*(\S+): (.+)$", re.MULTILINE)
_KILLED = frozenset({"killed", "timeout", "caught by type check", "segfault"})


class Change(NamedTuple):
    """The lines that a mutant takes out of a function, and those it puts in their place, without indentation."""

    function: str
    gone: tuple[str, ...]
    come: tuple[str, ...]


def main() -> int:
    """Lay out the folder, run mutmut, and tell what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="patterns of mutants; default: all")
    parser.add_argument("--processes", type=int, default=1, help="mutants at a time (1)")
    parser.add_argument("--keep", action="store_true", help="go on with the folder as it is, and what it was told")
    asked = parser.parse_args()
    if not asked.keep:
        lay_out()
    run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(asked.processes), *asked.names]
    if code := subprocess.run(run, cwd=TREE, check=False).returncode:
        return code
    return 0 if tell(results()) else 1


def lay_out() -> None:
    """A fresh folder with copies of what mutmut needs."""
    shutil.rmtree(TREE, ignore_errors=True)
    for name in COPIED:
        here, there = ROOT / name, TREE / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_dir():
            shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, there)


def results() -> dict[str, str]:
    """What became of each mutant that was tried, by its name."""
    told = _mutmut("results", "--all", "true")
    return {name: outcome for name, outcome in _RESULT.findall(told) if outcome != "not checked"}


def tell(found: dict[str, str]) -> bool:
    """Print the figures and what survived without being explained. True if all is well."""
    killed: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for name, outcome in found.items():
        about = "business time" if name.startswith(_TIME) else "clocks"
        tried[about] += 1
        killed[about] += outcome in _KILLED
    well = bool(tried)
    for about in sorted(tried):
        percent = 100 * killed[about] / tried[about]
        well = well and percent >= LEAST
        print(f"{about}: {killed[about]:,} of {tried[about]:,} mutants killed, {percent:.1f} %")
    known = set(explained(EXPLAINED.read_text(encoding="utf-8")))
    for name in [name for name, outcome in found.items() if outcome not in _KILLED]:
        shown = _mutmut("show", name)
        if not set(changes(shown, function_of(name))) <= known:
            well = False
            print(f"\nnot explained in docs/{EXPLAINED.name}: {found[name]}\n{shown}")
    return well


def function_of(mutant: str) -> str:
    """``add_us`` of ``domain.business_time.xǁCalendarǁadd_us__mutmut_3``."""
    return re.sub(r"^.*(?:ǁ|\.x_)|__mutmut_\d+$", "", mutant)


def explained(page: str) -> Iterator[Change]:
    """The changes in the ``diff`` blocks of a page, each under ``@@ function``."""
    for block in re.findall(r"^```diff\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        yield from changes(block)


def changes(diff: str, function: str = "") -> Iterator[Change]:
    """The changes of a diff: runs of lines that go, and then of lines that come; ``@@ name`` says in which function."""
    gone: list[str] = []
    come: list[str] = []
    for line in [*diff.splitlines(), ""]:
        if gone and come and not line.startswith("+"):
            yield Change(function, tuple(gone), tuple(come))
            gone, come = [], []
        if named := re.fullmatch(r"@@ (\w+)", line):
            function = named[1]
        elif line.startswith("-") and not line.startswith("---"):
            gone.append(line[1:].strip())
        elif line.startswith("+") and not line.startswith("+++"):
            come.append(line[1:].strip())


def _mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
