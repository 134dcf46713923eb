"""The parts of ``docs/`` that are made from the code: tables of settings, commands, metrics, topics and event types.

They stand between ``<!-- made: name -->`` and ``<!-- end -->``. After a change of the code, write them anew with
``python -m tests.docs.reference``; a test fails until that was done. All else is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec
import typer
from prometheus_client.metrics import MetricWrapperBase
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from hub.cli import app
from runtime import metrics
from runtime.settings import Settings, descriptions
from schemas.topics import Topic, topics
from schemas.vocabulary import TYPES
from tests.docs import figures, promised
from tests.shared import ROOT

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"(<!-- made: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS = {str: "text", int: "integer", float: "number"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_DAY = 86_400_000


def _table(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def settings() -> str:
    """A row per setting: variable, type with bounds, default, sentence."""
    rows = _table("variable", "type", "default", "meaning")
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated
        kind, meta = get_args(hint)
        bounds = [f"{sign} {getattr(meta, name)}" for name, sign in _BOUNDS.items() if getattr(meta, name) is not None]
        default = "empty" if field.default == "" else f"`{field.default}`"
        what = ", ".join([_KINDS[kind], *bounds])
        rows.append(f"| `HUB_{field.name.upper()}` | {what} | {default} | {descriptions()[field.name]} |")
    return "\n".join(rows)


def catalogue() -> dict[str, MetricWrapperBase]:
    """Every metric of the catalogue by the name it is shown under."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.describe()))
            found[described.name + ("_total" if described.type == "counter" else "")] = metric
    return found


def all_metrics() -> str:
    """A row per metric: name, type, labels, sentence."""
    rows = _table("metric", "type", "labels", "meaning")
    for name, metric in catalogue().items():
        described = next(iter(metric.describe()))
        labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "none"
        rows.append(f"| `{name}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join(rows)


def leaves() -> Iterator[tuple[str, TyperCommand]]:
    """Every command that does something, with its words: ``hub dlq list``."""

    def within(group: TyperGroup, path: str) -> Iterator[tuple[str, TyperCommand]]:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                yield from within(command, f"{path} {name}")
            else:
                assert isinstance(command, TyperCommand)
                yield f"{path} {name}", command

    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return within(root, "hub")


def commands() -> str:
    """A section per command: its sentence, its arguments and options with their defaults."""
    parts = []
    for path, command in leaves():
        usage = [path]
        rows = _table("argument or option", "default", "meaning")
        for given in command.params:
            assert isinstance(given, TyperArgument | TyperOption)
            name = given.opts[0] if isinstance(given, TyperOption) else str(given.name).upper()
            if isinstance(given, TyperArgument):
                many = "…" if given.nargs != 1 else ""
                usage.append(f"{name}{many}" if given.required else f"[{name}{many}]")
            else:
                usage.append(f"[{name}]" if given.is_flag else f"[{name} {str(given.name).upper()}]")
            default = "required" if given.required else "none"
            if isinstance(given.default, str | int) and given.default not in ("", False):
                default = f"`{given.default}`"
            rows.append(f"| `{name}` | {default} | {given.help} |")
        parts.append(f"## `{path}`\n\n    {' '.join(usage)}\n\n{' '.join((command.help or '').split())}\n")
        if len(rows) > 2:
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def kept(topic: Topic) -> str:
    """How long records stay, in words."""
    if topic.compacted:
        lag = int(topic.config.get("min.compaction.lag.ms", 0)) // 60_000
        return f"the newest record of each key (compacted; all of them for {lag} min)"
    milliseconds = int(topic.config["retention.ms"])
    return "for ever" if milliseconds < 0 else f"{milliseconds // _DAY} days"


def all_topics() -> str:
    """A section per topic, from its yaml."""
    parts = []
    for topic in topics().values():
        values = ", ".join(f"`{name}`" for name in topic.values) or topic.encoding
        rows = [
            *_table("", ""),
            f"| key | {topic.key} |",
            f"| order | per {topic.partitioned_by} |" if topic.keyed else "| order | none |",
            f"| values | {values} |",
            f"| written by | {', '.join(topic.written_by)} |",
            f"| read by | {', '.join(topic.read_by)} |",
            f"| kept | {kept(topic)} |",
        ]
        parts.append(f"## `{topic.name}`\n\n{' '.join(topic.purpose.split())}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def types() -> str:
    """A row per event type."""
    return "\n".join([*_table("type", "meaning"), *(f"| `{name}` | {said} |" for name, said in TYPES.items())])


MADE: dict[tuple[str, str], Callable[[], str]] = {
    ("settings.md", "settings"): settings,
    ("metrics.md", "metrics"): all_metrics,
    ("commands.md", "commands"): commands,
    ("topics.md", "topics"): all_topics,
    ("events.md", "types"): types,
    ("figures.md", "formulas"): figures.formulas,
    ("figures.md", "one-day"): figures.one_day,
    ("figures.md", "repeats"): figures.repeats,
    ("figures.md", "attribution"): figures.attribution,
    ("sla.md", "examples"): promised.titles,
    ("sla-examples.md", "examples"): promised.examples,
}
"""Page and name of a block to what makes it."""


def renewed(page: str, text: str) -> str:
    """A page's text with its blocks as they should be. Raises ``KeyError`` for a block that nothing makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{MADE[page, found['name']]().rstrip()}\n{found[3]}", text)


if __name__ == "__main__":
    for page in sorted({page for page, _ in MADE}):
        (DOCS / page).write_text(renewed(page, (DOCS / page).read_text(encoding="utf-8")), encoding="utf-8")
