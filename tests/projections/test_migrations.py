"""Migrations are run by whoever starts first, by all at once, and again at every start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from domain.errors import Unavailable
from projections import sql
from projections.migrate import migrate

pytestmark = pytest.mark.postgres
TABLES = {
    "timeline_entries", "tickets", "sla_clocks", "sla_verdicts", "projector_positions", "customers", "contact_points",
    "identity_decisions", "identity_suggestions", "configurations", "contacts",
}  # fmt: skip


async def test_several_processes_may_migrate_at_once_and_again(database: str) -> None:
    await asyncio.gather(*(migrate(database) for _ in range(4)))
    await migrate(database)
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {row["tablename"] for row in rows} >= TABLES
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    finally:
        await connection.close()


async def test_a_failed_migration_leaves_nothing_behind(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "CREATE TABLE contact_points (in_the_way integer)"
        )  # the second revision trips over it
        with pytest.raises(Exception, match="contact_points"):
            await migrate(database)
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {row["tablename"] for row in rows} == {"contact_points"}
    finally:
        await connection.close()


async def test_no_server_is_said_to_be_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await migrate(f"postgresql://nobody@/nothing?host={tmp_path}")


def test_a_statement_is_found_by_its_name_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "read.sql").write_text("-- name: one\nSELECT 1;\n\n-- name: two\nSELECT 2;\n")
    store = str(tmp_path / "store.py")
    assert sql.load(store, "two") == "SELECT 2"
    with pytest.raises(LookupError, match="three"):
        sql.load(store, "three")
