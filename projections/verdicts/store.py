"""Verdicts: each is written once and never changed; a later one may say that an earlier one was retracted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from projections.sql import load
from projections.values import as_json, from_json, storable, storable_or_null
from schemas.records import Interval, SlaVerdictIssued

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_ADD = load(__file__, "add")
_OF_TICKETS = load(__file__, "of_tickets")
_VERDICT = load(__file__, "verdict")
_BY_ID = load(__file__, "by_id")
_BY_IDS = load(__file__, "by_ids")
_EVENTS = load(__file__, "events")
_COLUMNS = (
    "id", "tenant", "customer", "ticket", "metric", "cycle", "outcome", "revision", "episode", "target", "elapsed",
    "started_at", "judged_at", "policy", "policy_version", "calendar", "calendar_digest", "boundary", "cause", "due_at",
    "threshold", "ended_at", "priority", "channel", "subject", "team", "organisation", "quiet", "evidence",
    "person", "queue",
)  # fmt: skip
_evidence = from_json(list[Interval])


async def add(connection: Connection, verdicts: Sequence[SlaVerdictIssued]) -> None:
    """Write verdicts; those whose id is there already are dropped."""
    if not verdicts:
        return
    await connection.execute(_ADD, *zip(*map(_row, verdicts), strict=True))


async def copy(connection: Connection, schema: str, verdicts: Sequence[SlaVerdictIssued]) -> None:
    """Write verdicts, no two with the same id, to the empty twin of the table in ``schema``, by COPY."""
    records = list(map(_row, verdicts))
    await connection.copy_records_to_table("sla_verdicts", schema_name=schema, columns=_COLUMNS, records=records)


def _row(verdict: SlaVerdictIssued) -> tuple[object, ...]:
    """The values of a verdict in the order of ``_COLUMNS``, as PostgreSQL takes them."""
    v = verdict
    return (
        v.id, storable(v.tenant), v.customer, v.ticket, storable(v.metric), v.cycle, storable(v.outcome), v.revision,
        v.episode, v.target, v.elapsed, v.started_at, v.judged_at, storable(v.policy), v.policy_version,
        storable(v.calendar), storable(v.calendar_digest), storable(v.boundary), storable(v.cause), v.due_at,
        v.threshold, v.ended_at, storable_or_null(v.priority), storable_or_null(v.channel),
        storable_or_null(v.subject), storable_or_null(v.team), storable_or_null(v.organisation),
        storable_or_null(v.quiet), as_json(v.evidence), storable_or_null(v.person), storable_or_null(v.queue),
    )  # fmt: skip


def _verdict(row: asyncpg.Record) -> SlaVerdictIssued:
    return SlaVerdictIssued(
        id=str(row["id"]),
        tenant=row["tenant"],
        customer=str(row["customer"]),
        ticket=str(row["ticket"]),
        metric=row["metric"],
        cycle=row["cycle"],
        outcome=row["outcome"],
        revision=row["revision"],
        episode=row["episode"],
        target=row["target"],
        elapsed=row["elapsed"],
        started_at=row["started_at"],
        judged_at=row["judged_at"],
        policy=row["policy"],
        policy_version=row["policy_version"],
        calendar=row["calendar"],
        calendar_digest=row["calendar_digest"],
        boundary=row["boundary"],
        cause=row["cause"],
        due_at=row["due_at"],
        threshold=row["threshold"],
        ended_at=row["ended_at"],
        priority=row["priority"],
        channel=row["channel"],
        subject=row["subject"],
        team=row["team"],
        organisation=row["organisation"],
        quiet=row["quiet"],
        evidence=_evidence(row["evidence"]),
        person=row["person"],
        queue=row["queue"],
    )


async def of_tickets(connection: Connection, tickets: Collection[str]) -> list[SlaVerdictIssued]:
    """The verdicts on these tickets, per ticket in the order they were judged."""
    return [_verdict(row) for row in await connection.fetch(_OF_TICKETS, list(tickets))]


async def by_id(connection: Connection, after: str, limit: int) -> list[SlaVerdictIssued]:
    """Up to ``limit`` verdicts in the order of their ids, from just after the id ``after`` on."""
    return [_verdict(row) for row in await connection.fetch(_BY_ID, after, limit)]


async def get(connection: Connection, ticket: str, verdict: str) -> SlaVerdictIssued | None:
    """One verdict on one ticket, or None."""
    row = await connection.fetchrow(_VERDICT, ticket, verdict)
    return _verdict(row) if row else None


async def by_ids(connection: Connection, ids: Collection[str]) -> list[SlaVerdictIssued]:
    """Those of these verdicts that are there."""
    return [_verdict(row) for row in await connection.fetch(_BY_IDS, list(ids))]


async def events(connection: Connection, entries: Collection[str]) -> list[tuple[str, str, int, int]]:
    """Of these entries of histories the event, its type, and when it happened and was received."""
    rows = await connection.fetch(_EVENTS, list(entries))
    return [(str(row["event"]), row["type"], row["occurred_at"], row["received_at"]) for row in rows]
