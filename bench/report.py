"""The figures as tables for people and as JSON for machines, with what they were measured on and the targets they met.

Nothing here knows a part: each brings its own tables and targets (``bench/part.py``).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import asyncpg
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from bench.part import Done, Table
from bench.servers import Servers
from projections.sql import load

LIBRARIES = (
    "faust-streaming",
    "mode-streaming",
    "aiokafka",
    "fastavro",
    "msgspec",
    "asyncpg",
    "fastapi",
    "uvicorn",
    "quixstreams",
    "confluent-kafka",
)
_VERSION = load(__file__, "server_version")


class About(msgspec.Struct, frozen=True):
    """What was measured on. Nothing in it names a machine."""

    date: str
    cpus: int
    system: str
    python: str
    kafka: str
    postgresql: str
    libraries: dict[str, str]


async def about(on: Servers, date: str) -> About:
    """Ask the system, the packages and the servers."""
    connection = await asyncpg.connect(on.postgres)
    try:
        postgresql = str(await connection.fetchval(_VERSION))
    finally:
        await connection.close()
    return About(
        date=date,
        cpus=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        kafka=on.kafka_version or "given by its address",
        postgresql=postgresql,
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # only the bench's own requirements bring it
        return ""


def write(told: About, done: Mapping[str, Done], file: Path) -> None:
    """Write the JSON file: ``about``, and per part its ``load``, its ``result`` and its ``targets``."""
    parts = {
        name: {"load": each.load, "result": each.result, "targets": list(each.targets)} for name, each in done.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"about": told, "parts": parts}), indent=1) + b"\n")


def show(told: About, done: Mapping[str, Done], out: Console) -> None:
    """Print each part's tables, and all targets at the end."""
    out.print(
        f"[bold]Interaction Hub, measured {told.date}[/] on {told.cpus} CPUs, {told.system}, Python {told.python},"
        f" Kafka {told.kafka}, PostgreSQL {told.postgresql}",
        highlight=False,
    )
    for each in done.values():
        for table in each.tables:
            _print(table, out)
    rows = [
        (target.what, target.wanted, target.found, "met" if target.met else "missed", target.why)
        for each in done.values()
        for target in each.targets
    ]
    if rows:
        _print(Table(("target", "wanted", "found", "", ""), rows), out, wide=True)


def _print(table: Table, out: Console, wide: bool = False) -> None:
    shown = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for number, column in enumerate(table.columns):
        last = wide and number == len(table.columns) - 1
        justify = "right" if 0 < number < 3 or (number and not wide) else "left"
        shown.add_column(column, justify=justify, no_wrap=not last)  # type: ignore[arg-type]  # a literal, by either way
    for row in table.rows:
        shown.add_row(*row)
    out.print()
    out.print(shown)
    for sentence in table.below:
        out.print(sentence, highlight=False)
