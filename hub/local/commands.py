"""``hub local up|down|status``: the embedded servers, with topics and tables made, and how to reach them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hub.local.stack import Addresses, LocalStack
from projections.migrate import migrate
from runtime.settings import load
from runtime.topics_admin import apply
from schemas.topics import topics


def up(out: Console, folder: Path | None = None) -> None:
    """Start, make topics and tables, and print the settings to export."""
    addresses = LocalStack(folder, progress=lambda line: out.print(f"· {line}", highlight=False)).up()
    asyncio.run(prepare(addresses))
    out.print("Settings for other commands:", style="bold")
    out.print(f"export HUB_KAFKA={addresses.kafka}", highlight=False, soft_wrap=True)
    out.print(f"export HUB_POSTGRES='{addresses.postgres}'", highlight=False, soft_wrap=True)


async def prepare(addresses: Addresses) -> None:
    """Make the topics and bring the database to its newest schema."""
    settings = load()
    await apply(addresses.kafka, topics(), settings.topic_prefix, settings.partitions, settings.replication)
    await migrate(addresses.postgres)


def down(out: Console, folder: Path | None = None) -> None:
    """Stop what runs."""
    LocalStack(folder, progress=lambda line: out.print(f"· {line}", highlight=False)).down()


def status(out: Console, folder: Path | None = None) -> None:
    """Print a row per server."""
    rows = LocalStack(folder).status()
    if not rows:
        out.print("nothing runs; start it with: hub local up")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("server", "state", "address", "process", "log"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.name, row.state, row.address, ", ".join(map(str, row.pids)), str(row.log or ""))
    out.print(table)
