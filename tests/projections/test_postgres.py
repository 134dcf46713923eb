"""How the connections of the stages ask, as PostgreSQL plans it."""

from __future__ import annotations

import uuid

import pytest

import projections.identity.store
from projections import postgres, sql

pytestmark = pytest.mark.postgres
EVENTS = [str(uuid.UUID(int=number)) for number in range(500)]


async def test_a_stage_reads_no_table_whole_that_is_younger_than_its_statistics(dsn: str) -> None:
    by_event = sql.load(projections.identity.store.__file__, "by_event")
    one = await postgres.connect(dsn, by_key=True)
    pool = await postgres.open_pool(dsn, by_key=True)
    try:
        for connection in (one, await pool.acquire()):
            async with connection.transaction():
                await connection.execute("ALTER TABLE identity_decisions SET (autovacuum_enabled = off)")
                await connection.execute(
                    "INSERT INTO identity_decisions (source, source_offset, event, reason, decided_at)"
                    " SELECT 'log/0', n, gen_random_uuid(), 'known', now() FROM generate_series(1, 20000) AS n"
                )
                plan = await connection.fetch(f"EXPLAIN {by_event}", EVENTS)
                await connection.execute("DELETE FROM identity_decisions")
            assert not [line[0] for line in plan if "Seq Scan" in line[0]]
            assert any("identity_decisions_by_event" in line[0] for line in plan)
    finally:
        await one.close()
        pool.terminate()
