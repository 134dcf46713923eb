"""Connections to PostgreSQL, and the one place that tells "it does not answer" from every other error.

``jsonb`` comes and goes as text; the stores read it into records themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg

from domain.errors import Reason, Unavailable
from projections.sql import load

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

# Statements with optional filters are planned for the values they are called with.
_SESSION = {"plan_cache_mode": "force_custom_plan", "application_name": "interaction-hub"}
# All statements of a stage ask by key. Of a table that is younger than its statistics the planner would read the whole.
_BY_KEY = {**_SESSION, "enable_seqscan": "off"}
_PING = load(__file__, "ping")
_SILENT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InternalClientError,
)


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Turn whatever asyncpg raises when the server is gone into ``Unavailable``; other errors pass."""
    try:
        yield
    except _SILENT as error:
        raise Unavailable(
            Reason.POSTGRES_UNAVAILABLE, f"PostgreSQL does not answer ({type(error).__name__}: {error})", what
        ) from error
    except asyncpg.InterfaceError as error:
        if "closed" not in str(error) and "closing" not in str(error):
            raise
        raise Unavailable(Reason.POSTGRES_UNAVAILABLE, f"the connection is closed ({error})", what) from error


async def connect(
    dsn: str, command_timeout: float | None = 30.0, *, by_key: bool = False
) -> asyncpg.Connection[asyncpg.Record]:
    """One connection; a statement may take ``command_timeout`` seconds. Raises ``Unavailable``.

    ``by_key``: no statement on it has a reason to read a whole table.
    """
    session = _BY_KEY if by_key else _SESSION
    with answering("connecting"):
        return await asyncpg.connect(dsn, timeout=10, command_timeout=command_timeout, server_settings=session)


async def open_pool(dsn: str, most: int = 10, *, by_key: bool = False) -> Pool:
    """A pool of up to ``most`` connections, opened when they are first needed: it works before PostgreSQL does.

    ``by_key``: as for ``connect``.
    """
    session = _BY_KEY if by_key else _SESSION
    return await asyncpg.create_pool(
        dsn, min_size=0, max_size=most, timeout=5, command_timeout=10, server_settings=session
    )


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool for some statements. Raises ``Unavailable`` when there is none within five seconds."""
    with answering("reading"):
        async with pool.acquire(timeout=5) as connection:
            yield connection


async def ping(connection: Connection) -> None:
    """Ask for something that costs nothing, to see whether the server answers."""
    await connection.fetchval(_PING)
