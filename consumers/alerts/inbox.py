"""Puts verdicts into the inbox: what they open and close, and how far the topic was read, in one transaction.

A position that is not the expected one means that another process reads the partition: nothing is written then.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from consumers.reading import Fenced
from domain.alerts import Known, Reading, clock_id, decide
from projections.alerts import store
from projections.alerts.store import Changes, Closing, Move, Opening

if TYPE_CHECKING:
    from projections.postgres import Connection
    from schemas.records import SlaVerdictIssued


def fold(known: Mapping[uuid.UUID, Known], verdicts: Sequence[SlaVerdictIssued]) -> tuple[Changes, list[Reading]]:
    """What ``verdicts``, in their order, change; and what became of each."""
    now_known = dict(known)
    changes, readings = Changes(), list[Reading]()
    for verdict in verdicts:
        clock = clock_id(verdict)
        decision = decide(now_known.get(clock, Known()), verdict)
        readings.append(decision.reading)
        now_known[clock] = decision.known
        if decision.worth_keeping:
            changes.revisions[clock] = decision.known.revision
        if decision.opens is not None:
            changes.opened[decision.opens] = Opening(clock, verdict, decision.quiet)
        for key, because in decision.closes:
            changes.closed[key] = Closing(verdict, because)
    return changes, readings


async def put(
    connection: Connection,
    topic: str,
    moves: Mapping[int, Move],
    verdicts: Sequence[SlaVerdictIssued],
    receivers: Sequence[str],
    now: int,
) -> list[Reading]:
    """Write a batch and its positions, all or nothing. Raises ``Fenced`` when a position is not the expected one.

    ``now``: the hub's time in microseconds, from which the new alerts are due. Returns what became of each verdict.
    """
    async with connection.transaction():
        await store.alone(connection)
        lost = await store.move(connection, topic, moves)
        if lost:
            raise Fenced(f"another process moved {topic}/{sorted(lost)}; this one must not write them")
        known = await store.known(connection, {clock_id(verdict) for verdict in verdicts})
        changes, readings = fold(known, verdicts)
        await store.record(connection, changes, receivers, now)
        return readings
