"""What docs/mutants.md explains stands in the code, and mutmut would find what it is told to change and to run."""

from __future__ import annotations

import tomllib

from tests.mutants.__main__ import COPIED, EXPLAINED, LEAST, Change, changes, explained, function_of, tell
from tests.shared import ROOT

MUTMUT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
PAGE = EXPLAINED.read_text(encoding="utf-8")


def test_every_change_that_is_explained_could_still_be_made() -> None:
    lines = {line.strip() for name in MUTMUT["only_mutate"] for line in (ROOT / name).read_text().splitlines()}
    found = list(explained(PAGE))
    assert found
    assert [each for each in found if not each.function or not set(each.gone) <= lines] == []


def test_every_module_and_its_figure_stands_in_the_page() -> None:
    for name in MUTMUT["only_mutate"]:
        assert (ROOT / name).is_file()
        assert f"`{name}`" in PAGE


def test_what_mutmut_reads_is_laid_out_for_it() -> None:
    selected = MUTMUT["pytest_add_cli_args_test_selection"]
    clocks = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/domain/test_clocks_*.py")}
    assert clocks <= set(selected)
    for name in [*COPIED, *selected]:
        assert (ROOT / name).exists(), name
    assert {*MUTMUT["source_paths"], *MUTMUT["also_copy"]} <= set(COPIED)


def test_the_changes_of_a_diff_are_read() -> None:
    diff = "--- a\n+++ a\n@@ -1,2 +1,2 @@\n def f():\n-    a = 1\n-    b = 2\n+    a = 2\n-    c = 3\n+    c = 4\n"
    found = [Change("f", ("a = 1", "b = 2"), ("a = 2",)), Change("f", ("c = 3",), ("c = 4",))]
    assert list(changes(diff, "f")) == found
    assert list(explained(f"text\n\n```diff\n@@ f\n{diff}```\n\n```python\n-z\n+y\n```\n")) == found


def test_the_function_of_a_mutant() -> None:
    assert function_of("domain.business_time.xǁCalendarǁadd_us__mutmut_3") == "add_us"
    assert function_of("domain.business_time.x__passed__mutmut_12") == "_passed"


def test_too_few_killed_is_no_success() -> None:
    killed = {f"domain.a.x_f__mutmut_{n}": "killed" for n in range(int(LEAST))}
    assert tell(killed | {"domain.b.x_g__mutmut_1": "timeout"})
    assert not tell({})
