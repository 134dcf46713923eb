"""The projector's positions: read when a partition is taken, moved in the transaction that writes its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from projections.sql import load

if TYPE_CHECKING:
    from projections.postgres import Connection

_POSITIONS = load(__file__, "positions")
_BEGIN = load(__file__, "begin")
_MOVE = load(__file__, "move")


class Place(NamedTuple):
    """One partition of a topic, by the topic's name on this Kafka."""

    topic: str
    partition: int


class Step(NamedTuple):
    """A position before and after a transaction, as the next offset to read."""

    expected: int
    next: int


async def take(connection: Connection, places: Collection[Place]) -> dict[Place, int]:
    """The next offset of each place; 0 is recorded for one that was never read."""
    topics, partitions = [each.topic for each in places], [each.partition for each in places]
    await connection.execute(_BEGIN, topics, partitions)
    rows = await connection.fetch(_POSITIONS, topics, partitions)
    return {Place(row["topic"], row["partition"]): row["next"] for row in rows}


async def move(connection: Connection, steps: Mapping[Place, Step]) -> set[Place]:
    """Move each position from its expected to its next value. Returns the places that did not stand where expected:
    if there are any, somebody else reads them, and the caller must roll back."""
    ordered = sorted(steps)
    rows = await connection.fetch(
        _MOVE,
        [place.topic for place in ordered],
        [place.partition for place in ordered],
        [steps[place].expected for place in ordered],
        [steps[place].next for place in ordered],
    )
    return set(ordered) - {Place(row["topic"], row["partition"]) for row in rows}
