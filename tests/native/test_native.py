"""The native form does what the sources do: their own tests pass on it, and a log comes out the same, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deploy import native
from tests.shared import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FOLDS_A_LOG = """
import hashlib, json
import domain.casework
from bench.casework_log import Log
from bench.split import TOPICS, as_record
from schemas.codec import Codec, is_native
from streams.casework import CaseworkFold

fold, digest, count = CaseworkFold(Codec(), TOPICS), hashlib.sha256(), 0
for offset, entry in enumerate(Log(4_000, 400, 1)):
    for topic, item in fold.step(as_record(entry, offset)):
        digest.update(repr((topic, item.key, item.value)).encode())
        count += 1
    if offset % 100 == 0:
        digest.update(repr(fold.changes()).encode())
print(json.dumps({"file": domain.casework.__file__, "digest": digest.hexdigest(), "outputs": count,
    "native": is_native()}))
"""
#: The tests of what is compiled.
TESTS = (
    *(
        "announced",
        "business_time",
        "calendars",
        "casework",
        "clocks",
        "cycles",
        "judged",
        "policies",
        "recheck",
        "shelf",
    ),
    *("ticket", "codec", "compiled"),
)
FILES = sorted(
    str(path.relative_to(ROOT))
    for package in ("domain", "schemas", "streams")
    for path in (ROOT / "tests" / package).glob("test_*.py")
    if path.stem.removeprefix("test_").startswith(TESTS)
)


def environment(*before: Path) -> dict[str, str]:
    """Variables with which Python finds the hub in these folders first, and else in the sources."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return kept | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(map(str, [*before, ROOT]))}


def run(words: list[str], variables: dict[str, str]) -> str:
    """What Python says to this; fails with all it said."""
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8_000:]
    return done.stdout


@pytest.fixture(scope="module")
def form() -> Path:
    """A native form of the sources as they are; not optimised, which takes the compiler half the time."""
    return native.make(ROOT / ".local" / "native-of-tests", optimise=0)


def test_every_module_is_compiled_and_nothing_is_done_twice(form: Path) -> None:
    compiled = {str(path.relative_to(form)).partition(".")[0] for path in form.rglob("*.so")}
    assert compiled == {name.removesuffix(".py") for name in native.MODULES} | {f"{native.GROUP}__mypyc"}
    assert native.is_current(form, optimise=0)
    assert not native.is_current(form, optimise=1)
    made = (form / "domain").stat().st_mtime_ns
    assert native.make(form, optimise=0) == form
    assert (form / "domain").stat().st_mtime_ns == made


def test_a_log_comes_out_the_same(form: Path) -> None:
    told: list[dict[str, Any]] = [json.loads(run(["-c", FOLDS_A_LOG], environment(*before))) for before in ([form], [])]
    assert [Path(each["file"]).is_relative_to(form) for each in told] == [True, False]
    assert told[0]["file"].endswith(".so")
    assert [each["native"] for each in told] == [True, False]
    assert told[0]["outputs"] == told[1]["outputs"] > 4_000
    assert told[0]["digest"] == told[1]["digest"]


def test_the_tests_of_rules_and_codec_pass_on_it(form: Path) -> None:
    words = ["-m", "pytest", "--import-mode=append", "-o", "pythonpath=", "-p", "no:xdist", *FILES]
    told = run([*words, "-m", "not kafka and not postgres"], environment(form) | {"HYPOTHESIS_PROFILE": "brief"})
    assert "100%" in told


def test_a_wheel_with_it_says_what_it_fits(form: Path, tmp_path: Path) -> None:
    asked = environment() | {"HUB_NATIVE": "1", "HUB_NATIVE_FOLDER": str(form)}
    run(["-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)], asked)
    (wheel,) = tmp_path.glob("*.whl")
    assert not wheel.name.endswith("-none-any.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    assert {path.relative_to(form) for path in native.extensions(form)} <= {
        path.relative_to(unpacked) for path in unpacked.rglob("*")
    }
    told = json.loads(run(["-c", FOLDS_A_LOG], environment(unpacked)))
    assert told["file"].startswith(str(unpacked))
    assert told["file"].endswith(".so")


def test_what_can_not_be_compiled_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit, match=r"apt-get install gcc"):
        native.make(tmp_path / "native", optimise=0)
    assert not (tmp_path / "native").exists()
