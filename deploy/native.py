"""The native form: the rules of casework and the Avro codec compiled by mypyc, a third less CPU time for each event.

``python -m deploy.native`` writes the packages ``schemas`` and ``domain``, with extension modules beside the sources,
into a folder, for this Python and this machine. Whoever has that folder ahead of the sources runs the native form::

    PYTHONSAFEPATH=1 PYTHONPATH=.local/native .venv/bin/hub worker casework

With ``HUB_NATIVE=1`` a wheel is built that has it in (``deploy/wheel.py``). Both forms give the same results: the tests
of the packages are run on both (``tests/native``). It takes a C compiler and Python's headers.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".local" / "native"
PACKAGES = ("schemas", "domain")
GROUP = "interaction_hub"
"""The extension module that holds all code is named after it; those beside the sources only point into it."""

#: What an event of casework passes through; what is compiled together calls each other directly.
MODULES = (
    "schemas/native.py",
    "domain/announced.py",
    "domain/business_time.py",
    "domain/calendar_faults.py",
    "domain/calendars.py",
    "domain/casework.py",
    "domain/cycles.py",
    "domain/errors.py",
    "domain/escalations.py",
    "domain/handling.py",
    "domain/joining.py",
    "domain/loose.py",
    "domain/merges.py",
    "domain/outputs.py",
    "domain/policies.py",
    "domain/shelf.py",
    "domain/sla.py",
    "domain/ticket_rules.py",
    "domain/tickets.py",
)
_DONE = ".complete"


def fingerprint(optimise: int) -> str:
    """What a native form is made from, as a digest: the sources, this file, this Python, the versions of the tools."""
    digest = hashlib.sha256(f"{sys.version} {optimise}\n".encode())
    for path in sorted(
        [Path(__file__), ROOT / "requirements-dev.lock", *(path for name in PACKAGES for path in _sources(ROOT / name))]
    ):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(folder: Path = HOME, optimise: int = 2) -> bool:
    """Whether ``folder`` has the native form of the sources as they are now."""
    done = folder / _DONE
    return done.is_file() and done.read_text() == fingerprint(optimise)


def _sources(package: Path) -> list[Path]:
    return [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def make(folder: Path = HOME, optimise: int = 2) -> Path:
    """Bring ``folder`` to what the sources say; nothing is done if it is. ``optimise``: the compiler's, 0 to 3.

    Raises ``SystemExit`` with what to do, when it can't be compiled.
    """
    if is_current(folder, optimise):
        return folder
    wanted = fingerprint(optimise)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name) / "made"
        for package in PACKAGES:
            for path in _sources(ROOT / package):
                target = made / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        _write_codec(made)
        _compile(made, optimise)
        (made / _DONE).write_text(wanted)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another one was faster: its folder says the same
            made.rename(folder)
    return folder


def extensions(folder: Path) -> list[Path]:
    """What a native form has beside the sources: the extension modules, and the codec's own source."""
    return sorted([*folder.rglob("*.so"), *folder.rglob("*.pyd"), folder / "schemas" / "native.py"])


def _write_codec(made: Path) -> None:
    program = "import sys; from schemas.codec import native_source; sys.stdout.write(native_source())"
    text = subprocess.run([sys.executable, "-c", program], cwd=made, capture_output=True, text=True, check=True).stdout
    (made / "schemas" / "native.py").write_text(text)


def _compile(made: Path, optimise: int) -> None:
    words = [sys.executable, str(Path(__file__)), "--compile", str(optimise)]
    done = subprocess.run(words, cwd=made, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "warning" not in line]
        raise SystemExit(
            "\n".join(said[-30:])
            + "\nThe native form can't be compiled. It takes a C compiler and Python's headers (Debian: "
            "apt-get install gcc python3-dev), and the developers' tools (deploy/local/setup lint). "
            "The hub runs without it, slower."
        )


def compile_here(optimise: int) -> None:
    """Compile the modules in the working directory, each beside its source."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    with tempfile.TemporaryDirectory() as scratch:
        modules = mypycify(
            ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", os.devnull, *MODULES],
            opt_level=str(optimise),
            debug_level="0",
            group_name=GROUP,
            target_dir=scratch,
            multi_file=True,  # one file of 10 MB takes the compiler half as long again
        )
        building = Distribution({"name": GROUP, "ext_modules": modules}).get_command_obj("build_ext")
        building.build_lib, building.build_temp, building.parallel = os.curdir, scratch, os.cpu_count()
        building.ensure_finalized()
        building.run()


def main() -> None:
    """The command: makes the folder, and says where it is."""
    asked = argparse.ArgumentParser(prog="python -m deploy.native", description="Make the native form of the hub.")
    asked.add_argument("--into", type=Path, default=HOME, help="the folder (.local/native)")
    asked.add_argument("--optimise", type=int, default=2, choices=range(4), help="the compiler's level (2)")
    asked.add_argument("--compile", type=int, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.compile is not None:
        compile_here(given.compile)
    else:
        sys.stdout.write(f"{make(given.into.resolve(), given.optimise)}\n")


if __name__ == "__main__":
    main()
