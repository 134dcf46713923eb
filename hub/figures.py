"""``hub figures``, and what it and the HTTP API tell alike: the figures of queues, teams, organisations and channels.

A figure is of the contacts that were offered in a period. Late data changes it, so a report says as of when it is, and
by which version of each tenant's configuration the queues' terms are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from domain.attribution import Held, of_breaches
from domain.business_time import to_us
from domain.figures import By, Customers, Figure, figures
from domain.policies import QueueTerms
from domain.repeats import WINDOW
from hub.sla.words import lasting, moment
from projections.contacts import counted
from projections.contacts.counted import Group, Wanted
from projections.postgres import open_pool, reading
from runtime.clock import clock_for
from runtime.settings import Settings

if TYPE_CHECKING:
    from projections.postgres import Connection

BYS: tuple[By, ...] = ("queue", "team", "organisation", "channel")
LONGEST = 400 * 86400 * 1_000_000
HEADS = {
    "service_level": "service level",
    "abandonment": "abandoned",
    "abandonment_less_short": "less short",
    "average_speed_of_answer": "answer speed",
    "average_handling_time": "handling time",
    "transfers": "transferred",
    "repeat_contacts": "repeats",
    "first_contact_resolution": "first contact",
}


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of each group. ``terms``: of the queues that have terms of their own, by tenant; ``versions``: of the
    configuration they come from, ``windows`` of its repeats. ``breaches``: of promises that began in the period, by
    tenant, metric and organisation. Instants are microseconds."""

    wanted: Wanted
    as_of: int
    groups: dict[Group, list[Figure]]
    terms: dict[str, list[QueueTerms]]
    versions: dict[str, int]
    windows: dict[str, int]
    breaches: dict[str, dict[tuple[str, str | None], Held]]


async def report(connection: Connection, wanted: Wanted, now: int) -> Report:
    """Count and compute, from one state of the tables."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        agreed = await counted.bundles(connection, wanted.tenant)
        found = await counted.count(connection, wanted, agreed, now)
        breached = await counted.breaches(connection, wanted) if wanted.by == "organisation" else {}
    groups = {}
    for group in sorted({*found.tallies, *found.customers}, key=_place):
        bundle = agreed.get(group.tenant)
        formulas = {name: terms.formula for name, terms in bundle.queues.items()} if bundle else {}
        groups[group] = figures(found.tallies.get(group, ()), formulas, found.customers.get(group, Customers()))
    tenants = sorted({group.tenant for group in groups})
    return Report(
        wanted,
        now,
        groups,
        {tenant: list(agreed[tenant].queues.values()) if tenant in agreed else [] for tenant in tenants},
        {tenant: agreed[tenant].version if tenant in agreed else 0 for tenant in tenants},
        {tenant: agreed[tenant].repeat_window if tenant in agreed else WINDOW for tenant in tenants},
        {tenant: of_breaches(some) for tenant, some in sorted(breached.items())},
    )


def _place(group: Group) -> tuple[str, bool, str]:
    return group.tenant, group.name is None, group.name or ""


def instant(text: str) -> int | None:
    """Microseconds of a date (its midnight in UTC) or an RFC 3339 instant with a zone; None for what is neither."""
    try:
        if len(text) == len("2026-01-02"):
            return to_us(datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC))
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_us(given) if given.tzinfo else None


def unfit(since: int | None, until: int | None, by: str) -> str | None:
    """What is wrong with what was asked for, in a sentence; None if nothing is."""
    if since is None or until is None:
        return "from and to are dates, or instants with a zone such as 2026-01-02T08:00:00Z"
    if not since < until <= since + LONGEST:
        return "from lies before to, and at most 400 days before"
    return None if by in BYS else f"by is one of {', '.join(BYS)}"


def wanted_of(since: str, until: str, by: str, names: Sequence[str]) -> Wanted:
    """What a command's options ask for; ``names``: tenant, queue, organisation, team and channel, empty for any.

    Raises ``typer.BadParameter``.
    """
    begin, end = instant(since), instant(until)
    fault = unfit(begin, end, by)
    if fault is not None or begin is None or end is None:
        raise typer.BadParameter(str(fault))
    return Wanted(begin, end, next(each for each in BYS if each == by), *(name or None for name in names))


async def show(settings: Settings, wanted: Wanted, as_json: bool, out: Console) -> int:
    """Print the figures as a table, or as one line of JSON as the HTTP API has it."""
    from hub.http.figures import Figures

    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            found = await report(connection, wanted, clock_for(settings.clock_file).now())
    finally:
        await pool.close()
    if as_json:
        out.out(Figures.of(found).model_dump_json(by_alias=True), highlight=False)
        return 0
    out.print(
        f"contacts offered from {moment(wanted.since)} to {moment(wanted.until)}, as of {moment(found.as_of)}",
        highlight=False,
    )
    if found.groups:
        out.print(_table(found))
    else:
        out.print("there are none", highlight=False)
    if found.breaches:
        out.print("\n[bold]Breached promises that began in the period[/]")
        out.print(_breaches(found))
    for line in _remarks(found):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _table(found: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len({group.tenant for group in found.groups}) > 1
    for column in (["tenant"] if several else []) + [found.wanted.by]:
        table.add_column(column, overflow="fold")
    for head in HEADS.values():
        table.add_column(head, justify="right")
    for group, told in found.groups.items():
        cells = {each.name: each for each in told}
        names = ([group.tenant] if several else []) + [group.name or "none"]
        table.add_row(*names, *(cell(cells[name]) for name in HEADS))
    return table


def _breaches(found: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("organisation", "promise", "charged", "held", "part", "counted", "stood still", "beyond the target"):
        table.add_column(head, justify="left" if head in ("organisation", "promise") else "right")
    for divided in found.breaches.values():
        for (metric, who), held in divided.items():
            table.add_row(
                who or "none", metric, str(held.charged), str(held.held), f"{float(held.part):.2f}",
                *(lasting(each) for each in (held.counted, held.stood, held.overrun)),
            )  # fmt: skip
    return table


def cell(figure: Figure) -> str:
    """A figure in a table: the value, and of how many."""
    if figure.value is None:
        return "–"
    unit = "%" if figure.unit == "percent" else "s"
    return f"{figure.value:.1f} {unit} of {figure.denominator}"


def _remarks(found: Report) -> list[str]:
    """What has to be known to read the table: formulas other than the usual, what was left out, what may change."""
    lines = []
    for group, told in found.groups.items():
        for each in told:
            more = [f"{count} left out ({name.replace('_', ' ')})" for name, count in each.left_out.items()]
            more += [f"{count} {name.replace('_', ' ')}" for name, count in each.notes.items()]
            if more:
                lines.append(f"{group.name or 'none'}, {HEADS[each.name]} [{each.formula}]: {'; '.join(more)}")
    return lines
