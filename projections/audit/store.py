"""Reads tables whole, as the comparison with the log needs them; nothing that people wait for is read this way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from projections.sql import load

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_POSITIONS = {name: load(__file__, name) for name in ("projector_positions", "alert_positions")}
_DECISIONS = load(__file__, "decisions")
_CUSTOMERS = load(__file__, "customers")
_TICKETS_WITH_VERDICTS = load(__file__, "tickets_with_verdicts")
_ALERTS = load(__file__, "alerts")
_ALERTS_WHOLE = load(__file__, "alerts_whole")
_DECISIONS_OF = load(__file__, "decisions_of")
_HOLD = load(__file__, "hold")
_GIVEN_TWICE = load(__file__, "given_twice")


async def hold(connection: Connection) -> None:
    """Keep the tables that are compared from being replaced by rebuilt ones until this transaction ends."""
    await connection.execute(_HOLD)


async def positions(connection: Connection, table: str) -> dict[tuple[str, int], int]:
    """Where a reader stands: (topic, partition) to next offset. ``table``: projector_positions or alert_positions."""
    return {(row["topic"], row["partition"]): row["next"] for row in await connection.fetch(_POSITIONS[table])}


async def decisions(connection: Connection) -> Sequence[asyncpg.Record]:
    """Every decision on file: source, source_offset, event, customer, contact_point, error, version, reason."""
    return await connection.fetch(_DECISIONS)


async def customers(connection: Connection) -> list[str]:
    """Everybody who has an entry."""
    return [customer for (customer,) in await connection.fetch(_CUSTOMERS)]


async def tickets_with_verdicts(connection: Connection) -> list[str]:
    """Every ticket on which there is a verdict."""
    return [ticket for (ticket,) in await connection.fetch(_TICKETS_WITH_VERDICTS)]


async def alerts(connection: Connection) -> Sequence[asyncpg.Record]:
    """Every alert: id, quiet, opened_at, closed_at, because."""
    return await connection.fetch(_ALERTS)


async def alerts_whole(connection: Connection) -> Sequence[asyncpg.Record]:
    """Every alert with its customer and the highest revision read of its clock: id, customer, quiet, opened_at,
    closed_at, because, revision."""
    return await connection.fetch(_ALERTS_WHOLE)


async def decisions_of(connection: Connection, source: str, after: int, limit: int) -> Sequence[asyncpg.Record]:
    """Up to ``limit`` decisions about a source (topic and partition) from just after an offset on, in their order:
    source_offset, event, customer, contact_point, version, reason."""
    return await connection.fetch(_DECISIONS_OF, source, after, limit)


async def given_twice(connection: Connection, limit: int) -> list[str]:
    """Up to ``limit`` events that were given to more than one customer."""
    return [event for (event,) in await connection.fetch(_GIVEN_TWICE, limit)]
