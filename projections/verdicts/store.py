"""Verdicts: each is written once and never changed; a later one may say that an earlier one was retracted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from projections.sql import load
from projections.values import as_json, from_json, texts, texts_or_null
from schemas.records import Interval, SlaVerdictIssued

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_ADD = load(__file__, "add")
_OF_TICKETS = load(__file__, "of_tickets")
_VERDICT = load(__file__, "verdict")
_evidence = from_json(list[Interval])


async def add(connection: Connection, verdicts: Sequence[SlaVerdictIssued]) -> None:
    """Write verdicts; those whose id is there already are dropped."""
    if not verdicts:
        return
    await connection.execute(
        _ADD,
        [v.id for v in verdicts],
        texts(v.tenant for v in verdicts),
        [v.customer for v in verdicts],
        [v.ticket for v in verdicts],
        texts(v.metric for v in verdicts),
        [v.cycle for v in verdicts],
        texts(v.outcome for v in verdicts),
        [v.revision for v in verdicts],
        [v.episode for v in verdicts],
        [v.target for v in verdicts],
        [v.elapsed for v in verdicts],
        [v.started_at for v in verdicts],
        [v.judged_at for v in verdicts],
        texts(v.policy for v in verdicts),
        [v.policy_version for v in verdicts],
        texts(v.calendar for v in verdicts),
        texts(v.calendar_digest for v in verdicts),
        texts(v.boundary for v in verdicts),
        texts(v.cause for v in verdicts),
        [v.due_at for v in verdicts],
        [v.threshold for v in verdicts],
        [v.ended_at for v in verdicts],
        texts_or_null(v.priority for v in verdicts),
        texts_or_null(v.channel for v in verdicts),
        texts_or_null(v.subject for v in verdicts),
        texts_or_null(v.team for v in verdicts),
        texts_or_null(v.organisation for v in verdicts),
        texts_or_null(v.quiet for v in verdicts),
        [as_json(v.evidence) for v in verdicts],
    )


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
    )


async def of_tickets(connection: Connection, tickets: Collection[str]) -> list[SlaVerdictIssued]:
    """The verdicts on these tickets, per ticket in the order they were judged."""
    return [_verdict(row) for row in await connection.fetch(_OF_TICKETS, list(tickets))]


async def get(connection: Connection, ticket: str, verdict: str) -> SlaVerdictIssued | None:
    """One verdict on one ticket, or None."""
    row = await connection.fetchrow(_VERDICT, ticket, verdict)
    return _verdict(row) if row else None
