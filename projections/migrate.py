"""Brings a database to the newest schema by the alembic revisions in ``migrations/``.

Several processes may call it at once: one works, the others wait and then find nothing to do. It only goes forward.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from projections.postgres import connect

_LOCK = 0x48_55_42_01  # any number that nothing else in this database locks


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    command.upgrade(config, "heads")


async def migrate(dsn: str) -> None:
    """Apply every revision that is missing, in one transaction: all of it or nothing.

    Raises ``Unavailable`` when PostgreSQL does not answer.
    """

    async def open_one() -> asyncpg.Connection:
        return await connect(dsn, command_timeout=None)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_one, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()
