"""The figures as a table for people and as JSON for machines, with what they were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from bench.alerts import AlertsResult
from bench.engine import EngineResult
from bench.latency import LatencyResult
from bench.measuring import Spread
from bench.servers import Servers
from projections.sql import load

LIBRARIES = ("faust-streaming", "mode-streaming", "aiokafka", "fastavro", "msgspec", "asyncpg", "fastapi", "uvicorn")
_VERSION = load(__file__, "server_version")
_WORDS = {
    "stock-faust": "stock Faust",
    "hub": "the hub's engine",
    "plain-aiokafka": "plain aiokafka loop",
    "casework": "the hub's own casework",
}


class About(msgspec.Struct, frozen=True):
    """What was measured on. Nothing in it names a machine."""

    date: str
    cpus: int
    system: str
    python: str
    kafka: str
    postgresql: str
    libraries: dict[str, str]


class Results(msgspec.Struct, frozen=True, omit_defaults=True):
    """The figures of a run; what was not asked for is left out."""

    about: About
    engine: EngineResult | None = None
    latency: LatencyResult | None = None
    alerts: AlertsResult | None = None


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
        libraries={name: version(name) for name in LIBRARIES},
    )


def write(results: Results, file: Path) -> None:
    """Write the JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def show(results: Results, out: Console) -> None:
    """Print what there is."""
    told = results.about
    out.print(
        f"[bold]Interaction Hub, measured {told.date}[/] on {told.cpus} CPUs, {told.system}, Python {told.python},"
        f" Kafka {told.kafka}, PostgreSQL {told.postgresql}",
        highlight=False,
    )
    if results.engine is not None:
        _show_engine(results.engine, out)
    if results.latency is not None or results.alerts is not None:
        _show_durations(results, out)


def _show_engine(found: EngineResult, out: Console) -> None:
    table = _table("one process", "events", "per second", "per CPU-second")
    for name, figure in found.figures.items():
        table.add_row(_WORDS[name], f"{figure.events:,}", f"{figure.per_second:,.0f}", f"{figure.per_cpu_second:,.0f}")
    out.print(table)
    out.print(
        f"The hub's engine does {found.ratio:g} times the events of stock Faust a second, and {found.ratio_cpu:g} times"
        f" per CPU-second (medians of {found.sizes.rounds} rounds).",
        highlight=False,
    )
    parts = ", ".join(f"{name} {value:g}" for name, value in found.split.items())
    out.print(f"µs of CPU time per event in the product's casework, without Kafka: {parts}.\n", highlight=False)


def _show_durations(results: Results, out: Console) -> None:
    table = _table("milliseconds", "count", "p50", "p99", "longest")

    def row(words: str, found: Spread) -> None:
        table.add_row(words, f"{found.count:,}", f"{found.p50:g}", f"{found.p99:g}", f"{found.longest:g}")

    if (latency := results.latency) is not None:
        row(f"POST /v1/events until its 202, at {latency.load.rate}/s", latency.accepted)
        row("202 until readable in the timeline", latency.readable)
    if (alerts := results.alerts) is not None:
        row(f"due until judged, {alerts.load.clocks:,} open clocks", alerts.judged)
        row("due until the alert is accepted", alerts.delivered)
    out.print(table)
    if (alerts := results.alerts) is not None:
        out.print(
            f"Alerts missing: {alerts.missing}, doubled: {alerts.doubled}; clocks open before the first came due:"
            f" {alerts.open_before:,}.",
            highlight=False,
        )
    for name, found in (("timeline", results.latency), ("alerts", results.alerts)):
        if found is not None:
            busy = ", ".join(f"{process} {percent:g} %" for process, percent in found.busy.items())
            out.print(f"CPU while measuring {name}: {busy} of a core; restarts: {found.restarts}.", highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
