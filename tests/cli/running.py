"""Runs the command line as a person does: as a process of its own, with a terminal that is wide enough.

``inside`` runs it in this process, where only words and exit codes matter: a process costs most of a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from typer.testing import CliRunner

from hub import cli
from hub.policy import commands as policy


class Ran(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


def hub(*words: str, **settings: str) -> Ran:
    """``hub`` with these words; ``settings`` by their field names, in place of the machine's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    given = {f"HUB_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "hub", *words],
        env=kept | given | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def inside(*words: str, **settings: str) -> Ran:
    """The same in this process; an error that the command line would put into words is raised."""
    for module in (cli, policy):  # their consoles were made when the first test was loaded, at that one's width
        module.out.width = module.err.width = 250
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("HUB_")}
    given = {f"HUB_{name.upper()}": value for name, value in settings.items()}
    ran = CliRunner(env=unset | given | {"COLUMNS": "250", "TERM": "dumb"}).invoke(cli.app, list(words))
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Ran(ran.exit_code, ran.stdout, ran.stderr)
