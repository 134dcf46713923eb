"""Bundles published as the identity stage does it, for tests that read them back."""

from __future__ import annotations

from hub.policy.applying import configuration_event
from projections.identity.store import IdentityStore, Undecided
from projections.postgres import open_pool
from streams.configuration import canonical_configuration
from tests.projections.samples import MINUTE, NOON


async def publish(dsn: str, *texts: str, tenant: str = "default", by: str = "") -> list[int]:
    """Publish bundles a minute apart, the first at noon. Returns their versions."""
    pool = await open_pool(dsn, most=1)
    try:
        store, versions = IdentityStore(pool), list[int]()
        for number, text in enumerate(texts):
            now = NOON + number * MINUTE
            told = configuration_event(text, tenant, now, by)
            decided = await store.decide(
                f"received/{tenant}", [Undecided(number, told, canonical_configuration(told))], now
            )
            version = decided[number].version
            assert version is not None
            versions.append(version)
        return versions
    finally:
        await pool.close()
