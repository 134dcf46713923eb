"""Clocks that still run, with their stretches: judged from the facts that casework holds of a customer.

They are read from the state's changelog, of which only this customer's records are kept; nobody notices. The log has
told the time only up to some instant; here a clock is shown as it stands at ``now``, which no verdict depends on.
"""

from __future__ import annotations

from collections.abc import Callable

from domain.casework import Casework
from domain.sla import Judged
from hub.verify.log import Log
from runtime.changelog import POSITION, Restored, Restoring
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.records import TicketChanged
from streams.casework import BUNDLE, CaseworkFold, CaseworkTopics
from streams.identity import partition_of


async def open_clocks(
    settings: Settings, codec: Codec, topics: CaseworkTopics, log: Log, ticket: TicketChanged, now: int
) -> list[Judged]:
    """The clocks of a ticket that no one has finished, as they stand at ``now``; none of a ticket that was put away."""
    casework = await _casework_of(settings, codec, topics, log, ticket.customer)
    casework.reached = max(casework.reached, now)
    return [each for each in casework.judged(ticket.customer, ticket.id) if each.ended_at is None]


async def _casework_of(settings: Settings, codec: Codec, topics: CaseworkTopics, log: Log, customer: str) -> Casework:
    """Casework with this one customer, as a restart would restore it."""
    mine = customer.encode()
    partition = partition_of(customer, settings.partitions)
    held = await held_of(log, topics.changelog, partition, lambda key: key == mine or key.startswith(BUNDLE))
    fold = CaseworkFold(codec, topics, settings.retention_days)
    fold.restore(held)
    return fold.casework


async def held_of(log: Log, changelog: str, partition: int, wanted: Callable[[bytes], bool]) -> Restored:
    """What a partition's state says of the keys that are wanted, with its position; nothing else is kept in memory."""
    gathered = Restoring()
    async for records in log.read(changelog, partition, *await log.span(changelog, partition)):
        for record in records:
            key = record.key or b""
            if key == POSITION or wanted(key):
                gathered.read(key, record.value, record.headers)
    return gathered.result()
