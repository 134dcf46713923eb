"""The tables at one instant, as fingerprints by partition: 32 bytes a row, whatever the row holds.

All of it is read in one transaction that sees one state of the database (REPEATABLE READ), with the positions up to
which projector and alerts had read by then.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from hub.verify.findings import Findings
from hub.verify.fingerprint import SIZE, Forms, Output, fingerprint, in_order, key_of, packed
from projections.audit import store as audit
from projections.contacts import store as contacts
from projections.tickets import store as tickets
from projections.tickets.store import next_due
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from schemas.records import TicketChanged
from streams.identity import partition_of

if TYPE_CHECKING:
    from projections.postgres import Connection

T = TypeVar("T")
NOBODY = str(uuid.UUID(int=0))
PAGE = 5000
Places = dict[tuple[str, int], int]


class AlertRow(NamedTuple):
    """A row of ``alerts``, without what can be said only of one attempt, and the clock's revision."""

    quiet: str | None
    opened_at: int
    closed_at: int | None
    because: str | None
    revision: int | None


class Rows:
    """One table's rows: of each the id and the fingerprint of the record it stands for, by partition."""

    def __init__(self, partitions: int) -> None:
        self._packed = [bytearray() for _ in range(partitions)]

    def add(self, partition: int, row_id: str, mark: int) -> None:
        """One row."""
        self._packed[partition] += uuid.UUID(row_id).bytes + packed(mark)

    def take(self, partition: int) -> dict[int, bytes]:
        """A partition's rows, fingerprint to the id's 16 bytes; they are forgotten here."""
        held, self._packed[partition] = bytes(self._packed[partition]), bytearray()
        return {
            int.from_bytes(held[at + SIZE : at + 2 * SIZE], "big"): held[at : at + SIZE]
            for at in range(0, len(held), 2 * SIZE)
        }

    def __len__(self) -> int:
        return sum(map(len, self._packed)) // (2 * SIZE)


@dataclass(slots=True)
class Snapshot:
    """The tables at one instant. ``alerts``: by partition, then id."""

    entries: Rows
    tickets: Rows
    verdicts: Rows
    projector: Places = field(default_factory=dict)
    alerted: Places = field(default_factory=dict)
    alerts: dict[int, dict[str, AlertRow]] = field(default_factory=dict)


async def pages(
    connection: Connection, read: Callable[[Connection, str, int], Awaitable[list[T]]], name: Callable[[T], str]
) -> AsyncIterator[list[T]]:
    """A whole table in the order of its ids, a page at a time."""
    last = NOBODY
    while page := await read(connection, last, PAGE):
        yield page
        last = name(page[-1])


async def snapshot(
    connection: Connection, forms: Forms, partitions: int, wanted: Sequence[int], findings: Findings
) -> Snapshot:
    """Read the tables; to be called in a transaction that sees one state. ``wanted``: partitions that matter."""
    found = Snapshot(Rows(partitions), Rows(partitions), Rows(partitions))
    await audit.hold(connection)
    found.projector = await audit.positions(connection, "projector_positions")
    found.alerted = await audit.positions(connection, "alert_positions")

    def add(rows: Rows, output: Output) -> None:
        partition = partition_of(output.customer, partitions)
        if partition in wanted:
            rows.add(partition, output.id, fingerprint(key_of(output), forms.codec.encode(output)))

    async for entries in pages(connection, timeline.by_id, lambda entry: entry.id):
        for entry in entries:
            add(found.entries, entry)
    async for pairs in pages(connection, tickets.by_id, lambda pair: pair[0].id):
        for ticket, due in pairs:
            add(found.tickets, _ordered(ticket))
            if due != next_due(ticket.clocks):
                findings.add("different", [f"tickets: {ticket.id} is due at {due}, which none of its clocks says"])
    strays = await tickets.stray_clocks(connection)
    findings.add("doubled", (f"sla_clocks: has clocks of a ticket {each}, which is not there" for each in strays))
    async for issued in pages(connection, verdicts.by_id, lambda verdict: verdict.id):
        for verdict in issued:
            add(found.verdicts, verdict)
    differing, compared = await contacts.differences(connection)
    findings.add("different", differing)
    findings.compared["contacts"] += compared
    for row in await audit.alerts_whole(connection):
        held = AlertRow(row["quiet"], row["opened_at"], row["closed_at"], row["because"], row["revision"])
        found.alerts.setdefault(partition_of(row["customer"], partitions), {})[row["id"]] = held
    return found


def _ordered(ticket: TicketChanged) -> TicketChanged:
    return msgspec.structs.replace(ticket, clocks=in_order(ticket.clocks))
