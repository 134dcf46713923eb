"""What ``hub policy`` prints: faults of a file, differences, the history, and versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec
from rich.console import Console
from rich.table import Table

from domain.errors import HubError
from domain.policies import EMPTY, Bundle
from domain.policy_reading import read_bundle
from hub.policy.difference import Change, difference
from hub.policy.files import Checked, check
from hub.policy.schema import schema
from projections.configurations import store
from projections.configurations.store import Version
from projections.postgres import open_pool, reading
from runtime.clock import SECOND, clock_for
from runtime.settings import Settings
from streams.configuration import Fault

if TYPE_CHECKING:
    from projections.postgres import Connection


def this_year(settings: Settings) -> int:
    """The year by the hub's clock, in UTC."""
    return datetime.fromtimestamp(clock_for(settings.clock_file).now() / SECOND, UTC).year


def show_check(settings: Settings, file: Path, as_json: bool, out: Console, err: Console) -> int:
    """Print the faults of a file. Returns 2 if there are any."""
    checked = check(file, this_year(settings))
    if as_json:
        _print_json(
            out,
            {
                "file": str(file),
                "usable": not checked.faults,
                "faults": [_as_json(fault) for fault in checked.faults],
                "notes": [_as_json(note) for note in checked.notes],
            },
        )
        return 2 if checked.faults else 0
    print_faults(checked, err)
    if checked.bundle is not None:
        out.print(f"{file.name}: {_counts(checked.bundle)}, nothing to object to", highlight=False, markup=False)
    return 2 if checked.faults else 0


def print_faults(checked: Checked, err: Console) -> None:
    """A line per fault and note: file, line, column, place, what to do."""
    for kind, some in (("", checked.faults), ("note: ", checked.notes)):
        for fault in some:
            where = f"{checked.file}:{fault.line}:{fault.column}" if fault.line else str(checked.file)
            err.print(f"{where}: {kind}{_readable(str(fault))}", highlight=False, markup=False, soft_wrap=True)


async def in_force(connection: Connection, tenant: str) -> tuple[Version | None, Bundle]:
    """The version in force for a tenant, and what it says; None and an empty bundle before the first."""
    found = await store.current(connection, tenant)
    return found, bundle_of(found) if found else EMPTY


def bundle_of(version: Version) -> Bundle:
    """What a published version says."""
    return read_bundle(msgspec.json.decode(version.body), version.version)


async def show_diff(settings: Settings, file: Path, tenant: str, as_json: bool, out: Console, err: Console) -> int:
    """Print what a file would change. Returns 1 for a difference, 2 for a file that can't be used."""
    checked = check(file, this_year(settings))
    if checked.faults:
        print_faults(checked, err)
        return 2
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            version, before = await in_force(connection, tenant or settings.tenant)
    finally:
        await pool.close()
    changes = difference(before, checked.usable())
    if as_json:
        _print_json(out, {"in_force": version.version if version else None, "changes": msgspec.to_builtins(changes)})
    else:
        print_changes(changes, version, out)
    return int(bool(changes))


def print_changes(changes: Sequence[Change], version: Version | None, out: Console) -> None:
    """A line per change."""
    told = f"version {version.version}" if version else "nothing, since no version is in force"
    if not changes:
        out.print(f"no difference to {told}", highlight=False)
        return
    out.print(f"{len(changes)} differences to {told}:", highlight=False)
    for change in changes:
        out.print(f"  {_readable(str(change))}", highlight=False, markup=False, soft_wrap=True)


async def show_history(settings: Settings, tenant: str, limit: int, as_json: bool, out: Console) -> int:
    """Print the newest versions."""
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            found = await store.versions(connection, tenant or None, limit)
    finally:
        await pool.close()
    if as_json:
        _print_json(out, [_version_as_json(version) for version in found])
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("version", "tenant", "published (UTC)", "by", "source", "holds", "event"):
        table.add_column(column, overflow="fold")
    for version in found:
        number = f"{version.version}{' (in force)' if version.in_force else ''}"
        row = (number, version.tenant, when(version.published_at), version.applied_by or "", version.source or "")
        table.add_row(*map(_readable, row), _counts(bundle_of(version)), version.event[:8])
    if found:
        out.print(table)
    else:
        out.print("no version was published yet", highlight=False)
    return 0


async def show_version(settings: Settings, number: int, canonical: bool, out: TextIO, err: Console) -> int:
    """Print a version as YAML, or as it stands on the log. Returns 1 when there is none."""
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            version = await store.get(connection, number)
    finally:
        await pool.close()
    if version is None:
        err.print(f"there is no version {number}; hub policy history lists them", highlight=False)
        return 1
    text = version.body if canonical or version.written is None else version.written
    out.write(text if text.endswith("\n") else f"{text}\n")
    return 0


def show_schema(out: TextIO) -> None:
    """Print the JSON Schema."""
    out.write(f"{json.dumps(schema(), indent=2)}\n")


def digests(bundle: Bundle) -> dict[str, str]:
    """The version of each calendar, as evidence names it."""
    return {name: calendar.digest for name, calendar in bundle.calendars.items()}


def when(at: int | None) -> str:
    """An instant in UTC to the second."""
    return "" if at is None else f"{datetime.fromtimestamp(at / SECOND, UTC):%Y-%m-%d %H:%M:%S}"


def _version_as_json(version: Version) -> dict[str, object]:
    instant = None if version.published_at is None else f"{when(version.published_at).replace(' ', 'T')}Z"
    try:
        bundle = bundle_of(version)
    except HubError as error:  # one that was never in force: no stage reads it
        return {"version": version.version, "tenant": version.tenant, "unreadable": str(error)}
    return {
        "version": version.version,
        "tenant": version.tenant,
        "in_force": version.in_force,
        "published_at": instant,
        "applied_by": version.applied_by,
        "source": version.source,
        "event": version.event,
        "policies": [policy.name for policy in bundle.policies],
        "calendars": digests(bundle),
    }


def _counts(bundle: Bundle) -> str:
    parts = {
        "calendars": bundle.calendars,
        "policies": bundle.policies,
        "routes": bundle.routes,
        "escalations": bundle.escalations,
        "queues": bundle.queues,
    }
    return ", ".join(f"{len(part)} {name}" for name, part in parts.items() if part) or "nothing"


def _as_json(fault: Fault) -> dict[str, object]:
    return {
        "line": fault.line,
        "column": fault.column,
        "where": fault.where,
        "reason": fault.reason.value,
        "detail": fault.detail,
    }


def _print_json(out: Console, value: object) -> None:
    out.out(json.dumps(value, indent=2), highlight=False)


def _readable(text: str) -> str:
    """A text for a terminal: what a file or an event holds moves no cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
