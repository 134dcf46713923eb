"""The wheel has all that the hub needs, and runs where the source tree is out of sight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.test_house import PACKAGES, PROJECT
from tests.docs.reference import leaves
from tests.shared import ROOT

pytestmark = pytest.mark.slow

# What is run in the fresh environment: each part that reads a file of its own, and where the packages come from.
PROBE = """
import importlib, json, sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
import hub.console.pages, projections.migrate, projections.sql
from domain.policy_reading import read_bundle
from schemas.codec import Codec
from schemas.topics import topics
import yaml
packages = sys.argv[1:]
folder = Path(hub.console.pages.__file__).parent
versions = Path(projections.migrate.__file__).parent / "migrations" / "versions"
policies = Path(hub.__file__).parent / "demo" / "policies.yaml"
Codec()
print(json.dumps({
    "files": {name: importlib.import_module(name).__file__ for name in packages},
    "distributions": {name: sorted(set(packages_distributions()[name])) for name in packages},
    "version": version("interaction-hub"),
    "topics": sorted(topics()),
    "pages": sorted(each.name for each in (folder / "templates").iterdir()),
    "migrations": len(list(versions.glob("*.sql"))),
    "policies": len(read_bundle(yaml.safe_load(policies.read_text()), 1).policies),
}))
"""


def run(words: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """A program's standard output; fails with all it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PYTHON"))}
    done = subprocess.run(
        words, cwd=folder, env=kept | dict(environment or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment that has the wheel, and sees our requirements but not our sources."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    run([sys.executable, "-m", "pip", "--python", str(programs / "python"), *install], folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path from such a file is searched, but the .pth files in it, one of which leads to our sources, are not read.
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def test_every_file_of_the_packages_is_in_it_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert there == {tree.name(path) for package in PACKAGES for path in tree.files(f"{package}/*")}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= about
    kinds = {Path(name).suffix for name in there}
    assert {".py", ".sql", ".avsc", ".yaml", ".html", ".css", ".js", ".svg"} <= kinds


def test_it_runs_out_of_sight_of_the_sources(fresh: Path, tmp_path: Path) -> None:
    told = json.loads(run([str(fresh / "python"), "-c", PROBE, *PACKAGES], tmp_path))
    assert all(Path(file).is_relative_to(fresh.parent) for file in told["files"].values()), told["files"]
    assert set(map(tuple, told["distributions"].values())) == {("interaction-hub",)}
    assert told["version"] == PROJECT["project"]["version"]
    assert told["topics"] == sorted(path.stem for path in tree.files("schemas/topics/*.yaml"))
    assert told["pages"] == sorted(path.name for path in tree.files("hub/console/templates/*"))
    assert told["migrations"] == len(tree.files("projections/migrations/versions/*.sql"))
    assert told["policies"] >= 1


def test_its_command_runs(fresh: Path, tmp_path: Path) -> None:
    words = {path.split()[1] for path, _ in leaves()}
    told = run([str(fresh / "hub"), "--help"], tmp_path, {"COLUMNS": "120"})
    assert all(word in told for word in words)
    mail = tmp_path / "a.eml"
    mail.write_text("From: customer@example.com\nTo: support@example.com\nSubject: Hello\n\nWhere is it?\n")
    event = json.loads(run([str(fresh / "hub"), "parse", "email", str(mail)], tmp_path))
    assert (event["type"], event["text"]) == ("email.received", "Where is it?")
