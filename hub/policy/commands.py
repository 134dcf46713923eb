"""The commands of ``hub policy``. What they say of times is in UTC; exit codes: 1 for a difference, 2 for a fault."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runtime.settings import load

policy = typer.Typer(no_args_is_help=True, help="Policies and calendars, as YAML that enters the log.")
out = Console()
err = Console(stderr=True)
File = Annotated[Path, typer.Argument(help="YAML with calendars, policies, routes and escalations.")]
Tenant = Annotated[str, typer.Option(help="Whose policies they are; default: HUB_TENANT.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, for programs; instants in RFC 3339.")]


@policy.command()
def check(file: File, as_json: Json = False) -> None:
    """Find everything that is wrong with a bundle, with line and column; exits with 2 if there is anything."""
    from hub.policy.showing import show_check

    raise typer.Exit(show_check(load(), file, as_json, out, err))


@policy.command()
def diff(file: File, tenant: Tenant = "", as_json: Json = False) -> None:
    """Show what a bundle would change of the one in force; exits with 1 if anything."""
    from hub.policy.showing import show_diff

    raise typer.Exit(asyncio.run(show_diff(load(), file, tenant, as_json, out, err)))


@policy.command()
def apply(
    file: File,
    tenant: Tenant = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would change, open tickets too.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who applies it, for the history; default: the user of this machine.")] = "",
    examples: Annotated[int, typer.Option(min=0, help="With --dry-run: show so many tickets.")] = 5,
    as_json: Json = False,
) -> None:
    """Check a bundle and put it on the log, with its holidays as dates; it is in force from there on."""
    from hub.policy.applying import apply as put
    from hub.policy.applying import preview

    settings = load()
    work = (
        preview(settings, file, tenant, examples, as_json, out, err)
        if dry_run
        else put(settings, file, tenant, by, out, err)
    )
    raise typer.Exit(asyncio.run(work))


@policy.command()
def history(
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: Json = False,
) -> None:
    """List the versions that were published: whose, when, by whom, and what they hold."""
    from hub.policy.showing import show_history

    raise typer.Exit(asyncio.run(show_history(load(), tenant, limit, as_json, out)))


@policy.command()
def show(
    version: Annotated[int, typer.Argument(help="The version's number, from the history.")],
    canonical: Annotated[bool, typer.Option("--canonical", help="The JSON that is on the log, not the YAML.")] = False,
) -> None:
    """Print a version as it was applied."""
    from hub.policy.showing import show_version

    raise typer.Exit(asyncio.run(show_version(load(), version, canonical, sys.stdout, err)))


@policy.command()
def schema() -> None:
    """Print the JSON Schema of a bundle, for editors and other programs."""
    from hub.policy.showing import show_schema

    show_schema(sys.stdout)
