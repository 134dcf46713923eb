"""A database with the hub's tables."""

from __future__ import annotations

import pytest

from projections.migrate import migrate


@pytest.fixture
async def dsn(database: str) -> str:
    """The DSN of an empty database of this test alone, with the tables made."""
    await migrate(database)
    return database
