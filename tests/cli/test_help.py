"""The command line explains itself: each command says what it does, what it takes, in which units, and by default."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from hub.cli import app
from tests.cli.running import hub

COMMANDS = {
    "worker", "project", "alert", "count", "sources", "serve", "receive", "run", "demo", "migrate", "parse",
    "verify", "rebuild", "figures",
    "local up", "local down", "local status", "topics apply", "topics diff", "sla explain", "sla verify", "sla what-if",
    "policy apply", "policy check", "policy diff", "policy history", "policy schema", "policy show",
    "dlq list", "dlq show", "dlq retry",
}  # fmt: skip
GROUPS = {"", "local", "topics", "policy", "sla", "dlq"}


def shown(path: str) -> str:
    """The help of a command, on one line."""
    ran = CliRunner(env={"COLUMNS": "250", "TERM": "dumb", "NO_COLOR": "1"}).invoke(app, [*path.split(), "--help"])
    assert ran.exit_code == 0, ran.output
    return " ".join(ran.output.split())


def parameters(path: str) -> Iterator[tuple[str, str | None, object]]:
    """Each argument and option of a command: its name, its sentence, its default."""
    command = typer.main.get_command(app)
    for word in path.split():
        command = command.commands[word]  # type: ignore[attr-defined]  # a group; click's type does not say so
    for parameter in command.params:
        if parameter.name != "help":
            yield parameter.name or "", getattr(parameter, "help", None), parameter.default


def test_hub_lists_its_commands() -> None:
    ran = hub("--help")
    assert ran.code == 0, ran.err
    for name in COMMANDS | GROUPS:
        assert name.split()[0:1] == [] or name.split()[0] in ran.out


@pytest.mark.parametrize("group", sorted(GROUPS - {""}))
def test_each_group_lists_its_commands(group: str) -> None:
    text = shown(group)
    for name in COMMANDS:
        if name.startswith(f"{group} "):
            assert name.split()[1] in text


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_each_command_says_what_it_does_and_what_it_takes(path: str) -> None:
    text = shown(path)
    assert len(text) > 60
    for name, sentence, default in parameters(path):
        assert sentence, f"hub {path}: {name} has no sentence"
        assert " ".join(sentence.split()) in text
        if default not in (None, False, "") and not callable(default):
            assert f"[default: {default}]" in text or str(default) in sentence


def test_no_command_is_missing_here() -> None:
    root = typer.main.get_command(app)
    found = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # as above
        found |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    assert found == COMMANDS
