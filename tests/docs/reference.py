"""The parts of ``docs/`` that are made from the code: tables of settings, commands, metrics, topics and event types.

They stand between ``<!-- made: name -->`` and ``<!-- end -->``. After a change of the code, write them anew with
``python -m tests.docs.reference``; a test fails until that was done. Everything outside of the marks is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, get_args, get_origin, get_type_hints

import click
import msgspec
import typer
from prometheus_client.metrics import MetricWrapperBase

from hub.cli import app
from runtime import metrics
from runtime.settings import Settings, descriptions
from schemas.topics import Topic, topics
from schemas.vocabulary import TYPES
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


def leaves(command: click.Command | None = None, path: str = "hub") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words: ``hub dlq list``."""
    command = command or typer.main.get_command(app)
    within: dict[str, click.Command] = getattr(command, "commands", {})
    if not within:
        yield path, command
    for name, inner in within.items():
        yield from leaves(inner, f"{path} {name}")


def commands() -> str:
    """A section per command: its sentence, its arguments and options with their defaults."""
    parts = []
    for path, command in leaves():
        usage = [path]
        rows = _table("argument or option", "default", "meaning")
        for parameter in command.params:
            if parameter.name == "help":
                continue
            name = str(parameter.name).upper()
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else name
            if isinstance(parameter, click.Argument):
                usage.append(("{}…" if parameter.nargs != 1 else "{}").format(name if parameter.required else f"[{name}]"))
            default = "required" if parameter.required else "none"
            if isinstance(parameter.default, str | int) and parameter.default not in ("", False):
                default = f"`{parameter.default}`"
            rows.append(f"| `{shown}` | {default} | {getattr(parameter, 'help', '')} |")
        if any(isinstance(parameter, click.Option) and parameter.name != "help" for parameter in command.params):
            usage.append("[OPTIONS]")
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
        values = ", ".join(f"`{name}`" for name in topic.values) or {"bytes": "bytes as they came", "msgpack": "msgpack"}[
            topic.encoding
        ]
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
}
"""Page and name of a block to what makes it."""


def renewed(page: str, text: str) -> str:
    """A page's text with its blocks as they should be. Raises ``KeyError`` for a block that nothing makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{MADE[page, found['name']]().rstrip()}\n{found[3]}", text)


if __name__ == "__main__":
    for page in sorted({page for page, _ in MADE}):
        (DOCS / page).write_text(renewed(page, (DOCS / page).read_text(encoding="utf-8")), encoding="utf-8")
