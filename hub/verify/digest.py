"""One number (SHA-256) for what people read: every timeline entry, ticket with its clocks, and verdict.

Canonical: the records in the order of their ids, each as JSON with sorted keys, clocks by metric and cycle. Two systems
that show the same have the same digest, whatever their tables look like inside.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hub.verify.fingerprint import in_order
from hub.verify.rows import pages
from projections.audit import store as audit
from projections.postgres import connect
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts

if TYPE_CHECKING:
    from projections.postgres import Connection

_encode = msgspec.json.Encoder(order="sorted").encode


class Digest(NamedTuple):
    """The digest in hexadecimal, and how many of each it was made of."""

    sha256: str
    entries: int
    tickets: int
    verdicts: int

    def __str__(self) -> str:
        return f"{self.sha256} of {self.entries} entries, {self.tickets} tickets, {self.verdicts} verdicts"


async def digest(connection: Connection) -> Digest:
    """The digest of what the tables hold, in one transaction that sees one state of them."""
    whole = hashlib.sha256()
    counts = [0, 0, 0]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await audit.hold(connection)
        async for entries in pages(connection, timeline.by_id, lambda entry: entry.id):
            counts[0] += len(entries)
            whole.update(b"".join(_encode(each) + b"\n" for each in entries))
        async for pairs in pages(connection, tickets.by_id, lambda pair: pair[0].id):
            counts[1] += len(pairs)
            plain = (msgspec.structs.replace(each, clocks=in_order(each.clocks)) for each, _ in pairs)
            whole.update(b"".join(_encode(each) + b"\n" for each in plain))
        async for issued in pages(connection, verdicts.by_id, lambda verdict: verdict.id):
            counts[2] += len(issued)
            whole.update(b"".join(_encode(each) + b"\n" for each in issued))
    return Digest(whole.hexdigest(), *counts)


async def digest_of(dsn: str) -> Digest:
    """The digest of a database."""
    connection = await connect(dsn, command_timeout=None)
    try:
        return await digest(connection)
    finally:
        await connection.close()
