"""Timeline entries: written in bulk, read by page or from a sequence on.

A page is found by the instant and id of the last entry before it, so that pages neither skip nor repeat an entry
while new ones arrive. Entries of one customer become visible in the order of their sequence: one partition, one writer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from projections.sql import load
from projections.values import as_json, from_json, storable, storable_or_null
from schemas.records import Actor, Attachment, CallFacts, TimelineEntryAdded

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

Order = Literal["desc", "asc"]

CHANNEL = "timeline"
"""PostgreSQL's notification channel: each payload names customers of whom something changed, separated by commas."""

_PER_NOTIFICATION = 200  # ids of 36 characters and a comma: under the limit of 8000 bytes
_ADD = load(__file__, "add")
_NOTIFY = load(__file__, "notify")
_PAGES = {
    "desc": (load(__file__, "newest_first"), load(__file__, "newest_first_after")),
    "asc": (load(__file__, "oldest_first"), load(__file__, "oldest_first_after")),
}
_SINCE = load(__file__, "since")
_BY_ID = load(__file__, "by_id")
_COLUMNS = (
    "id", "event", "customer", "tenant", "sequence", "type", "channel", "direction", "occurred_at", "received_at",
    "conversation", "source", "ticket", "joined_because", "actor", "contact_point", "subject", "text", "attachments",
    "automatic", "call", "about",
)  # fmt: skip
_LAST_SEQUENCE = load(__file__, "last_sequence")
_actor = from_json(Actor)
_attachments = from_json(list[Attachment])
_call = from_json(CallFacts)


class Mark(NamedTuple):
    """Where a page begins: just after the entry of this instant (microseconds) and id."""

    occurred_at: int
    id: str


async def add(connection: Connection, entries: Sequence[TimelineEntryAdded]) -> None:
    """Write entries; those whose id is there already are dropped."""
    if not entries:
        return
    await connection.execute(_ADD, *zip(*map(_row, entries), strict=True))


async def copy(connection: Connection, schema: str, entries: Sequence[TimelineEntryAdded]) -> None:
    """Write entries, no two with the same id, to the empty twin of the table in ``schema``, by COPY."""
    records = list(map(_row, entries))
    await connection.copy_records_to_table("timeline_entries", schema_name=schema, columns=_COLUMNS, records=records)


def _row(entry: TimelineEntryAdded) -> tuple[object, ...]:
    """The values of an entry in the order of ``_COLUMNS``, as PostgreSQL takes them."""
    e = entry
    return (
        e.id, e.event, e.customer, storable(e.tenant), e.sequence, storable(e.type), storable(e.channel),
        storable(e.direction), e.occurred_at, e.received_at, storable(e.conversation), storable(e.source), e.ticket,
        storable_or_null(e.joined_because), as_json(e.actor) if e.actor else None, storable_or_null(e.contact_point),
        storable_or_null(e.subject), storable_or_null(e.text), as_json(e.attachments) if e.attachments else None,
        storable_or_null(e.automatic), as_json(e.call) if e.call else None, storable_or_null(e.about),
    )  # fmt: skip


def _payloads(customers: Collection[str]) -> Iterator[str]:
    ordered = sorted(customers)
    for start in range(0, len(ordered), _PER_NOTIFICATION):
        yield ",".join(ordered[start : start + _PER_NOTIFICATION])


async def notify(connection: Connection, customers: Collection[str]) -> None:
    """Tell who listens on ``CHANNEL``, once this transaction is committed, of whom there is something new."""
    if customers:
        await connection.execute(_NOTIFY, list(_payloads(customers)))


def _entry(row: asyncpg.Record) -> TimelineEntryAdded:
    return TimelineEntryAdded(
        id=str(row["id"]),
        event=str(row["event"]),
        tenant=row["tenant"],
        customer=str(row["customer"]),
        sequence=row["sequence"],
        type=row["type"],
        channel=row["channel"],
        direction=row["direction"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        conversation=row["conversation"],
        source=row["source"],
        ticket=str(row["ticket"]) if row["ticket"] else None,
        joined_because=row["joined_because"],
        actor=_actor(row["actor"]) if row["actor"] else None,
        contact_point=row["contact_point"],
        subject=row["subject"],
        text=row["text"],
        attachments=_attachments(row["attachments"]) if row["attachments"] else [],
        automatic=row["automatic"],
        call=_call(row["call"]) if row["call"] else None,
        about=row["about"],
    )


async def page(
    connection: Connection, customer: str, limit: int, order: Order = "desc", after: Mark | None = None
) -> list[TimelineEntryAdded]:
    """Up to ``limit`` entries by instant, newest first (``desc``) or oldest first, from just after ``after`` on."""
    first, following = _PAGES[order]
    rows = await (
        connection.fetch(first, customer, limit)
        if after is None
        else connection.fetch(following, customer, limit, after.occurred_at, after.id)
    )
    return [_entry(row) for row in rows]


async def since(connection: Connection, customer: str, sequence: int, limit: int) -> list[TimelineEntryAdded]:
    """Up to ``limit`` entries in order of arrival, from the one after ``sequence`` on."""
    return [_entry(row) for row in await connection.fetch(_SINCE, customer, sequence, limit)]


async def by_id(connection: Connection, after: str, limit: int) -> list[TimelineEntryAdded]:
    """Up to ``limit`` entries of everybody in the order of their ids, from just after the id ``after`` on."""
    return [_entry(row) for row in await connection.fetch(_BY_ID, after, limit)]


async def last_sequence(connection: Connection, customer: str) -> int:
    """The customer's highest sequence, 0 if there is no entry."""
    return int(await connection.fetchval(_LAST_SEQUENCE, customer))


async def count_of(connection: Connection, ids: Sequence[str]) -> int:
    """How many of these entries are readable."""
    return int(await connection.fetchval(load(__file__, "count_of"), ids))
