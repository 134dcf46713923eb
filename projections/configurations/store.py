"""What was configured, version by version, and the open tickets with their clocks, to say what another would change.

Versions are written by the identity stage, in ``projections.identity``, since it gives them their numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from projections.sql import load
from projections.values import storable_or_null

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_VERSIONS = load(__file__, "versions")
_VERSION = load(__file__, "version")
_BODIES = load(__file__, "bodies")
_VERSIONS_OF_CLOCKS = load(__file__, "versions_of_clocks")
_OPEN_TICKETS = load(__file__, "open_tickets")
_CLOCKS_OF = load(__file__, "clocks_of")
_FIRST = "00000000-0000-0000-0000-000000000000"
_PAGE = 1000


class Version(msgspec.Struct, frozen=True):
    """A version. ``body``: canonical JSON, as on the log; ``written``: the YAML it was made from; ``published_at``: µs.

    ``source``, ``applied_by`` and ``written`` are None for one that was published before they were kept.
    """

    version: int
    tenant: str
    name: str
    event: str
    body: str
    source: str | None
    applied_by: str | None
    written: str | None
    published_at: int | None
    in_force: bool


class OpenClock(msgspec.Struct, frozen=True):
    """A clock of an open ticket as it was last published; instants and ``target`` in microseconds."""

    metric: str
    cycle: int
    state: str
    policy: str
    policy_version: int
    target: int
    started_at: int
    due_at: int | None


class OpenTicket(msgspec.Struct, frozen=True):
    """What policies match on of an open ticket, and its clocks. ``changed_at``: µs, when it was last judged."""

    id: str
    channel: str
    priority: str
    queue: str | None
    team: str | None
    organisation: str | None
    tier: str | None
    about: str | None
    source: str | None
    changed_at: int
    clocks: list[OpenClock]


async def versions(
    connection: Connection, tenant: str | None = None, limit: int = 20, before: int | None = None
) -> list[Version]:
    """Up to ``limit`` versions, the newest first, from just before the version ``before`` on."""
    return [_version(row) for row in await connection.fetch(_VERSIONS, storable_or_null(tenant), before, limit)]


async def get(connection: Connection, version: int) -> Version | None:
    """One version, or None."""
    row = await connection.fetchrow(_VERSION, version)
    return None if row is None else _version(row)


async def current(connection: Connection, tenant: str) -> Version | None:
    """The version in force for a tenant, or None."""
    return next(iter(await versions(connection, tenant, 1)), None)


async def bodies(connection: Connection, wanted: Sequence[int]) -> dict[int, str]:
    """The canonical JSON of each version that there is."""
    return {row["version"]: row["body"] for row in await connection.fetch(_BODIES, list(wanted))}


async def versions_of_clocks(connection: Connection, tenant: str) -> list[int]:
    """The versions that clocks of a tenant's open tickets are judged by."""
    return [version for (version,) in await connection.fetch(_VERSIONS_OF_CLOCKS, tenant)]


async def open_tickets(connection: Connection, tenant: str) -> AsyncIterator[list[OpenTicket]]:
    """The open tickets of a tenant with all their clocks, in pages, in the order of their ids."""
    after = _FIRST
    while rows := await connection.fetch(_OPEN_TICKETS, tenant, after, _PAGE):
        after = rows[-1]["id"]
        clocks: dict[str, list[OpenClock]] = {row["id"]: [] for row in rows}
        for row in await connection.fetch(_CLOCKS_OF, list(clocks)):
            values = {name: row[name] for name in OpenClock.__struct_fields__}
            clocks[row["ticket"]].append(OpenClock(**values))
        yield [
            OpenTicket(
                id=row["id"],
                channel=row["channel"],
                priority=row["priority"],
                queue=row["queue"],
                team=row["team"],
                organisation=row["organisation"],
                tier=row["tier"],
                about=row["about"],
                source=row["source"],
                changed_at=row["changed_at"],
                clocks=clocks[row["id"]],
            )
            for row in rows
        ]


def _version(row: asyncpg.Record) -> Version:
    return Version(**{name: row[name] for name in Version.__struct_fields__})
