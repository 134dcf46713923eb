"""Tickets and their clocks: a state replaces the one it is newer than, and lists are paged by opening time.

``next_due_at`` of a ticket is derived here, from its clocks, for one purpose: to list first what needs a person first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from projections.sql import load
from projections.values import as_json, from_json, storable, storable_or_null, texts_or_null
from schemas.records import Clock, Handling, Link, TicketChanged

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_PUT = load(__file__, "put")
_DROP_CLOCKS = load(__file__, "drop_clocks")
_PUT_CLOCKS = load(__file__, "put_clocks")
_TICKET = load(__file__, "ticket")
_CLOCKS = load(__file__, "clocks")
_BY_OPENING = load(__file__, "by_opening")
_OPEN_BY_DUE = load(__file__, "open_by_due")
_BY_ID = load(__file__, "by_id")
_STRAY_CLOCKS = load(__file__, "stray_clocks")
_COLUMNS = (
    "id", "tenant", "customer", "version", "status", "priority", "channel", "opened_at", "changed_at", "cause",
    "subject", "queue", "team", "organisation", "person", "conversations", "resolved_at", "closed_at", "reopened",
    "interactions", "follows", "tags", "next_due_at", "level", "about", "ticket_type", "tier", "fields", "links",
    "merged_into", "merged", "accepted_at", "handled_by", "concurrent_at",
)  # fmt: skip
_CLOCK_COLUMNS = (
    "ticket", "metric", "cycle", "state", "policy", "policy_version", "calendar", "target", "elapsed", "started_at",
    "due_at", "ended_at", "breached_at", "warned",
)  # fmt: skip
_WAITING = frozenset({"running", "breached_running"})
_texts = from_json(list[str])
_numbers = from_json(list[int])
_fields = from_json(dict[str, str])
_links = from_json(list[Link])
_handled_by = from_json(list[Handling])


class Mark(NamedTuple):
    """Where a page begins: just after the ticket opened at this instant (microseconds), with this id."""

    opened_at: int
    id: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tickets to list; None means any."""

    status: Collection[str] | None = None
    customer: str | None = None
    team: str | None = None
    organisation: str | None = None
    tenant: str | None = None


def next_due(clocks: Sequence[Clock]) -> int | None:
    """The earliest due time of the clocks that run, whether it is past or to come."""
    return min((c.due_at for c in clocks if c.state in _WAITING and c.due_at is not None), default=None)


async def put(connection: Connection, changes: Sequence[TicketChanged]) -> None:
    """Write the newest state of each ticket, with its clocks; a state that is not newer than the table's is dropped."""
    newest: dict[str, TicketChanged] = {}
    for change in changes:
        if change.id not in newest or newest[change.id].version < change.version:
            newest[change.id] = change
    if not newest:
        return
    tickets = [newest[key] for key in sorted(newest)]
    accepted = await connection.fetch(_PUT, *zip(*map(_row, tickets), strict=True))
    changed = {str(row["id"]) for row in accepted}
    await _put_clocks(connection, [t for t in tickets if t.id in changed])


async def _put_clocks(connection: Connection, tickets: Sequence[TicketChanged]) -> None:
    if not tickets:
        return
    await connection.execute(_DROP_CLOCKS, [t.id for t in tickets])
    rows = [_clock_row(ticket.id, clock) for ticket in tickets for clock in ticket.clocks]
    if rows:
        await connection.execute(_PUT_CLOCKS, *zip(*rows, strict=True))


async def copy(connection: Connection, schema: str, tickets: Sequence[TicketChanged]) -> None:
    """Write tickets, no two with the same id, with their clocks to the empty twins of the tables in ``schema``."""
    rows = list(map(_row, tickets))
    await connection.copy_records_to_table("tickets", schema_name=schema, columns=_COLUMNS, records=rows)
    clocks = [_clock_row(ticket.id, clock) for ticket in tickets for clock in ticket.clocks]
    await connection.copy_records_to_table("sla_clocks", schema_name=schema, columns=_CLOCK_COLUMNS, records=clocks)


def _row(ticket: TicketChanged) -> tuple[object, ...]:
    """The values of a ticket in the order of ``_COLUMNS``, as PostgreSQL takes them."""
    t = ticket
    return (
        t.id, storable(t.tenant), t.customer, t.version, storable(t.status), storable(t.priority), storable(t.channel),
        t.opened_at, t.changed_at, storable(t.cause), storable_or_null(t.subject), storable_or_null(t.queue),
        storable_or_null(t.team), storable_or_null(t.organisation), storable_or_null(t.person),
        as_json(t.conversations), t.resolved_at, t.closed_at, t.reopened, t.interactions, t.follows, as_json(t.tags),
        next_due(t.clocks), t.level, storable_or_null(t.about), storable(t.ticket_type), storable_or_null(t.tier),
        as_json(t.fields), as_json(t.links), t.merged_into, as_json(t.merged), t.accepted_at, as_json(t.handled_by),
        t.concurrent_at,
    )  # fmt: skip


def _clock_row(ticket: str, clock: Clock) -> tuple[object, ...]:
    """The values of a ticket's clock in the order of ``_CLOCK_COLUMNS``."""
    c = clock
    return (
        ticket, storable(c.metric), c.cycle, storable(c.state), storable(c.policy), c.policy_version,
        storable(c.calendar), c.target, c.elapsed, c.started_at, c.due_at, c.ended_at, c.breached_at, as_json(c.warned),
    )  # fmt: skip


def _clock(row: asyncpg.Record) -> Clock:
    return Clock(
        metric=row["metric"],
        cycle=row["cycle"],
        state=row["state"],
        policy=row["policy"],
        policy_version=row["policy_version"],
        calendar=row["calendar"],
        target=row["target"],
        elapsed=row["elapsed"],
        started_at=row["started_at"],
        due_at=row["due_at"],
        ended_at=row["ended_at"],
        breached_at=row["breached_at"],
        warned=_numbers(row["warned"]),
    )


async def _with_clocks(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[TicketChanged]:
    clocks: dict[object, list[Clock]] = {row["id"]: [] for row in rows}
    if rows:
        for row in await connection.fetch(_CLOCKS, list(clocks)):
            clocks[row["ticket"]].append(_clock(row))
    return [
        TicketChanged(
            id=str(row["id"]),
            tenant=row["tenant"],
            customer=str(row["customer"]),
            version=row["version"],
            status=row["status"],
            priority=row["priority"],
            channel=row["channel"],
            opened_at=row["opened_at"],
            changed_at=row["changed_at"],
            cause=row["cause"],
            subject=row["subject"],
            queue=row["queue"],
            team=row["team"],
            organisation=row["organisation"],
            person=row["person"],
            conversations=_texts(row["conversations"]),
            resolved_at=row["resolved_at"],
            closed_at=row["closed_at"],
            reopened=row["reopened"],
            interactions=row["interactions"],
            follows=str(row["follows"]) if row["follows"] else None,
            tags=_texts(row["tags"]),
            clocks=clocks[row["id"]],
            level=row["level"],
            about=row["about"],
            ticket_type=row["ticket_type"],
            tier=row["tier"],
            fields=_fields(row["fields"]),
            links=_links(row["links"]),
            merged_into=str(row["merged_into"]) if row["merged_into"] else None,
            merged=_texts(row["merged"]),
            accepted_at=row["accepted_at"],
            handled_by=_handled_by(row["handled_by"]),
            concurrent_at=row["concurrent_at"],
        )
        for row in rows
    ]


async def get(connection: Connection, ticket: str) -> TicketChanged | None:
    """The ticket with its clocks, or None."""
    found = await _with_clocks(connection, await connection.fetch(_TICKET, ticket))
    return found[0] if found else None


async def page(connection: Connection, wanted: Filter, limit: int, after: Mark | None = None) -> list[TicketChanged]:
    """Up to ``limit`` tickets with their clocks, the last opened first, from just after ``after`` on."""
    rows = await connection.fetch(
        _BY_OPENING,
        None if wanted.status is None else sorted(wanted.status),
        wanted.customer,
        *texts_or_null((wanted.team, wanted.organisation, wanted.tenant)),
        None if after is None else after.opened_at,
        None if after is None else after.id,
        limit,
    )
    return await _with_clocks(connection, rows)


async def open_by_due(connection: Connection, limit: int) -> list[TicketChanged]:
    """Up to ``limit`` tickets that are neither resolved nor closed, the nearest due time first, then those without."""
    return await _with_clocks(connection, await connection.fetch(_OPEN_BY_DUE, limit))


async def by_id(connection: Connection, after: str, limit: int) -> list[tuple[TicketChanged, int | None]]:
    """Up to ``limit`` tickets in the order of their ids, from just after the id ``after`` on, each with the due time
    that stands in its row."""
    rows = await connection.fetch(_BY_ID, after, limit)
    return list(zip(await _with_clocks(connection, rows), [row["next_due_at"] for row in rows], strict=True))


async def stray_clocks(connection: Connection) -> list[str]:
    """The ids of tickets that are not there, but have clocks."""
    return [ticket for (ticket,) in await connection.fetch(_STRAY_CLOCKS)]
