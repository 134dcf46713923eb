"""Contacts: the turns of calls and chats, measured from the timeline entries of their conversations.

A conversation is measured whole whenever an entry is added to it, in the same transaction, so the rows follow from the
entries alone. Its entries can come from two partitions at once, since they may be of two customers before it is known
that these are one; so whoever measures a conversation locks it first, and then reads what others have committed.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from domain.contacts import Contact, concerns, measure
from domain.outputs import derived_id
from projections.sql import load
from projections.values import from_json, storable
from schemas.records import Actor, CallFacts, TimelineEntryAdded

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_LOCKS = 0x48_55_42_05  # any number that nothing else in this database locks in pairs
_BUCKETS = 256
_READ = 5000
_LOCK = load(__file__, "lock")
_ENTRIES = load(__file__, "entries")
_ALL_ENTRIES = load(__file__, "all_entries")
_REBUILT_ENTRIES = load(__file__, "rebuilt_entries")
_PUT = load(__file__, "put")
_DROP_FURTHER = load(__file__, "drop_further")
_BY_ID = load(__file__, "by_id")
_COLUMNS = (
    "id", "number", "first", "tenant", "customer", "conversation", "began", "outcome", "channel", "direction",
    "offered_at", "queue", "queued_at", "answered_at", "ended_at", "waited", "talked", "held", "wrapped_up", "person",
    "team", "organisation", "transferred", "to_person", "to_team", "to_organisation", "about", "ticket", "by_vendor",
)  # fmt: skip
_actor = from_json(Actor)
_call = from_json(CallFacts)
_conversation = attrgetter("tenant", "conversation")


class Conversation(NamedTuple):
    """What is measured together."""

    tenant: str
    name: str

    @property
    def id(self) -> str:
        """The id of its rows."""
        return derived_id(self.tenant, self.name, "contact")

    @property
    def bucket(self) -> int:
        """Which lock it shares with others."""
        return zlib.crc32(f"{self.tenant}\x1f{self.name}".encode()) % _BUCKETS


async def add(connection: Connection, entries: Iterable[TimelineEntryAdded]) -> None:
    """Measure anew the conversations of these entries, which are written already, inside the caller's transaction."""
    touched = {(each.tenant, each.conversation) for each in entries if concerns(each.type)}
    if not touched:
        return
    wanted = [Conversation(storable(tenant), storable(name)) for tenant, name in sorted(touched)]
    await connection.execute(_LOCK, _LOCKS, sorted({each.bucket for each in wanted}))
    rows = await connection.fetch(_ENTRIES, [each.tenant for each in wanted], [each.name for each in wanted])
    found = sorted(map(_entry, rows), key=_conversation)
    await _put(connection, [(Conversation(*key), list(some)) for key, some in groupby(found, _conversation)])


async def _put(connection: Connection, conversations: Sequence[tuple[Conversation, list[TimelineEntryAdded]]]) -> None:
    measured = [(whose, measure(entries)) for whose, entries in conversations]
    rows = [row for whose, contacts in measured for row in _rows(whose, contacts)]
    if rows:
        await connection.execute(_PUT, *zip(*rows, strict=True))
    await connection.execute(
        _DROP_FURTHER, [whose.id for whose, _ in measured], [len(contacts) for _, contacts in measured]
    )


async def copy(connection: Connection, schema: str) -> int:
    """Fill the empty twin of the table in the schema of a rebuild from the entries there; how many rows that were.
    Inside a transaction of the caller."""
    written = 0
    async for rows in _measured(connection, _REBUILT_ENTRIES):
        await connection.copy_records_to_table("contacts", schema_name=schema, columns=_COLUMNS, records=rows)
        written += len(rows)
    return written


async def differences(connection: Connection) -> tuple[list[str], int]:
    """What rows say otherwise than their entries, in words, and how many were compared: to be called in a transaction
    that sees one state of both (REPEATABLE READ). Takes memory for a digest of each row."""
    held: dict[tuple[str, int], int] = {}
    last, page = ("00000000-0000-0000-0000-000000000000", 0), _READ
    while rows := await connection.fetch(_BY_ID, last[0], page):
        # A page may end within a conversation: its rest comes again, whole, with the next.
        whole = [row for row in rows if row["id"] != rows[-1]["id"]] if len(rows) == page else rows
        if not whole:
            page *= 2
            continue
        for row in whole:
            held[str(row["id"]), row["number"]] = hash(_as_written(row))
        last = (str(whole[-1]["id"]), 0)
    found, compared = [], 0
    async for measured in _measured(connection, _ALL_ENTRIES):
        compared += len(measured)
        for columns in measured:
            key = (str(columns[0]), int(str(columns[1])))
            mark = held.pop(key, None)
            if mark is None:
                found.append(f"contacts: {key[0]} turn {key[1]} is missing")
            elif mark != hash(columns):
                found.append(f"contacts: {key[0]} turn {key[1]} says something else than its entries")
    found += [f"contacts: {key[0]} turn {key[1]} stands for no entries" for key in held]
    return found, compared


def _as_written(row: asyncpg.Record) -> tuple[object, ...]:
    uuids = ("id", "customer", "ticket")
    return tuple(str(row[name]) if name in uuids and row[name] is not None else row[name] for name in _COLUMNS)


async def _measured(connection: Connection, statement: str) -> AsyncIterator[list[tuple[object, ...]]]:
    """The rows of every conversation of the entries that a statement gives in their order, some thousand at a time."""
    pending: list[TimelineEntryAdded] = []
    cursor = await connection.cursor(statement)
    while found := await cursor.fetch(_READ):
        pending += map(_entry, found)
        last = _conversation(pending[-1])
        whole = [entry for entry in pending if _conversation(entry) != last]
        pending = pending[len(whole) :]
        if rows := _rows_of(whole):
            yield rows
    if rows := _rows_of(pending):
        yield rows


def _rows_of(entries: Sequence[TimelineEntryAdded]) -> list[tuple[object, ...]]:
    """The rows of entries that stand together by conversation."""
    return [row for key, some in groupby(entries, _conversation) for row in _rows(Conversation(*key), measure(some))]


def _rows(whose: Conversation, contacts: Sequence[Contact]) -> list[tuple[object, ...]]:
    """The values of a conversation's turns in the order of ``_COLUMNS``."""
    return [
        (
            whose.id, c.number, c.first, whose.tenant, c.customer, whose.name, c.began, c.outcome, c.channel,
            c.direction, c.offered_at, c.queue, c.queued_at, c.answered_at, c.ended_at, c.waited, c.talked, c.held,
            c.wrapped_up, c.owner.person, c.owner.team, c.owner.organisation, c.transferred, c.handed_to.person,
            c.handed_to.team, c.handed_to.organisation, c.about, c.ticket, " ".join(c.by_vendor),
        )
        for c in contacts
    ]  # fmt: skip


def _entry(row: asyncpg.Record) -> TimelineEntryAdded:
    """An entry as far as it is measured."""
    return TimelineEntryAdded(
        id=str(row["id"]),
        event="",
        tenant=row["tenant"],
        customer=str(row["customer"]),
        sequence=0,
        type=row["type"],
        channel=row["channel"],
        direction=row["direction"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        conversation=row["conversation"],
        source="",
        ticket=str(row["ticket"]) if row["ticket"] else None,
        actor=_actor(row["actor"]) if row["actor"] else None,
        call=_call(row["call"]) if row["call"] else None,
        about=row["about"],
    )
