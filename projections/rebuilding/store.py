"""New timelines, tickets and verdicts beside the old ones, in a schema of their own, and the moment they change places.

Readers see the old ones until then. Indexes are made when the rows are there, which is several times faster, and are
those that the old tables have; privileges go over, too. A view on the old tables stops the change: nothing is dropped
that the hub did not make.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import asyncpg

from projections.sql import load

if TYPE_CHECKING:
    from projections.postgres import Connection

SCHEMA = "rebuilding"
_KEY = 0x48_55_42_04  # any number that nothing else in this database locks
_LOCK = load(__file__, "lock")
_BEGIN = load(__file__, "begin")
_FINISH = load(__file__, "finish")
_REPLACE = load(__file__, "replace")
_PLACE = load(__file__, "place")
_ATTEMPTS = 60


async def alone(connection: Connection) -> bool:
    """Whether nobody else rebuilds this database; from now on, until the connection ends, nobody else can."""
    return bool(await connection.fetchval(_LOCK, _KEY))


async def begin(connection: Connection) -> None:
    """Make the new tables, without indexes; what an attempt that was cut off left is removed."""
    await connection.execute(_BEGIN)


async def finish(connection: Connection) -> None:
    """Give the new tables the indexes and privileges of the old ones."""
    await connection.execute(_FINISH)


async def replace(connection: Connection, positions: Mapping[tuple[str, int], int]) -> None:
    """Put the new tables in the place of the old ones, with the positions they were made from, all at once.

    Waits up to some minutes for those who read the old ones. Raises asyncpg's ``LockNotAvailableError`` then, and
    ``DependentObjectsStillExistError`` where somebody made a view on them.
    """
    for attempt in range(_ATTEMPTS):
        try:
            async with connection.transaction():
                await connection.execute(_REPLACE)
                topics, partitions = [topic for topic, _ in positions], [number for _, number in positions]
                await connection.execute(_PLACE, topics, partitions, list(positions.values()))
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(1)  # let those through who queued up behind the lock that was not given
