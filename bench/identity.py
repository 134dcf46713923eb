"""The identity stage alone: one process that decides whose each event is, with many contact points known already.

The contact points are put into PostgreSQL directly, as a million earlier events would have left them. Events name them
evenly at random, so that a look-up finds nothing near the one before; one in fifty comes from somebody new.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from random import Random

import asyncpg
import msgspec

from bench.casework_log import BEGIN, SECOND
from bench.filling import fill
from bench.measuring import Run
from bench.part import Part, Say, Table, Target, at_least
from bench.progress import Written, watched
from bench.running import Hub, prepared, running
from bench.servers import Servers
from projections.sql import load
from runtime.appending import Item
from schemas.codec import Codec
from schemas.records import Actor, ContactPoint, InteractionReceived, MailFacts, Raw

NEW = 50  # one event in so many comes from an address that nobody knows
_AT_ONCE = 100_000
_KNOWN = (load(__file__, "known_customers"), load(__file__, "known_contact_points"))
_SETTLED = load(__file__, "settled")
_TEXT = "My parcel was due on Monday and nothing came. Could you look where it is and say when it will be here? " * 3


class Sizes(msgspec.Struct, frozen=True):
    """``points``: contact points that are known before; ``events``: how many are decided."""

    points: int = 1_000_000
    events: int = 100_000


class IdentityResult(msgspec.Struct, frozen=True):
    """``run``: of the events after the first batch, with the CPU time of the stage's process, not PostgreSQL's."""

    sizes: Sizes
    run: Run
    loading_seconds: float
    restarts: int


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> IdentityResult:
    """Load the contact points, fill the log, and run the stage until all is relayed."""
    async with prepared(on, prefix, f"{prefix}identity".replace("-", "_")) as hub:
        say(f"loading {sizes.points:,} contact points")
        loading = await known(hub, sizes.points)
        say(f"filling the log with {sizes.events:,} events")
        settings = hub.settings
        await fill(on.kafka, settings.topic("interaction-received"), settings.partitions, _items(hub, sizes))
        target = settings.topic("interaction-identified")
        async with running(hub, ("identity",), on.folder / "identity-logs"):
            async with Written(on.kafka, [target], settings.partitions) as count:
                run = await watched("identity", count, sizes.events, lambda: hub.cpu_seconds().get("identity", 0.0))
            return IdentityResult(sizes, run, loading, hub.restarts)


async def known(hub: Hub, points: int) -> float:
    """Put so many customers with an address each into PostgreSQL; the seconds it took."""
    connection: asyncpg.Connection[asyncpg.Record] = hub.reading
    loop = asyncio.get_running_loop()
    began = loop.time()
    for first in range(0, points, _AT_ONCE):
        for statement in _KNOWN:
            last = min(first + _AT_ONCE, points) - 1
            await connection.execute(statement, hub.settings.tenant, first, last, timeout=600)
    await connection.execute(_SETTLED, timeout=600)
    return float(loop.time() - began)


def _items(hub: Hub, sizes: Sizes) -> Iterator[tuple[int, Item]]:
    codec, random = Codec(), Random(1)
    for number in range(sizes.events):
        who = sizes.points + number if number % NEW == NEW - 1 else random.randrange(sizes.points)
        event = _event(hub.settings.tenant, who, str(uuid.UUID(int=random.getrandbits(128), version=4)), number)
        yield who % hub.settings.partitions, Item(event.conversation.encode(), codec.encode(event))


def _event(tenant: str, who: int, id_: str, number: int) -> InteractionReceived:
    at = BEGIN + number * SECOND // 100
    return InteractionReceived(
        id=id_,
        type="email.received",
        tenant=tenant,
        source="email/main",
        channel="email",
        direction="inbound",
        occurred_at=at,
        received_at=at,
        conversation=f"email:{who}",
        contact_points=[ContactPoint("email", f"customer-{who}@example.com", verified=True)],
        actor=Actor("customer"),
        subject="Where is order 4711?",
        text=_TEXT,
        language="en",
        facts=MailFacts(message_id=f"<{id_}@example.com>", mailbox="support@example.com"),
        raw=Raw("message/rfc822", inline=_TEXT.encode() * 2),
    )


def _tables(found: IdentityResult) -> list[Table]:
    run = found.run
    rows = [(f"{found.sizes.points:,}", f"{run.events:,}", f"{run.per_second:,.0f}", f"{run.per_cpu_second:,.0f}")]
    told = f"The contact points were loaded in {found.loading_seconds:.0f} s; restarts: {found.restarts}."
    return [Table(("identity: contact points known", "events", "per second", "per CPU-second"), rows, [told])]


def _targets(found: IdentityResult) -> list[Target]:
    what = f"identity stage, {found.sizes.points:,} contact points known, events per second"
    return [at_least(what, found.run.per_second, 10_000)]


PART = Part("identity", Sizes(), measure, _tables, _targets)
