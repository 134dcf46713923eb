"""Decides a batch of events in one transaction, and keeps each decision so that every later attempt does the same.

Two workers may meet here (one of them no longer the owner of its partition, or both seeing a new customer at once):
whoever comes second finds its rows refused, rolls back, reads again and decides from what is there now.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from domain.errors import HubError
from domain.identity import Decision, Directory, Link, Owner, Point, decide, named, points_of
from projections.dead_letters import store as dead_letters
from projections.sql import load
from projections.values import as_json, storable, storable_or_null, texts
from schemas.records import Configuration, InteractionReceived

if TYPE_CHECKING:
    from projections.postgres import Connection, Pool

_DECISIONS = load(__file__, "decisions")
_BY_EVENT = load(__file__, "by_event")
_OWNERS = load(__file__, "owners")
_CUSTOMERS = load(__file__, "customers")
_ADD_CUSTOMERS = load(__file__, "add_customers")
_ADD_CONTACT_POINTS = load(__file__, "add_contact_points")
_ADD_DECISIONS = load(__file__, "add_decisions")
_ADD_SUGGESTIONS = load(__file__, "add_suggestions")
_ADD_CONFIGURATION = load(__file__, "add_configuration")
_ATTEMPTS = 20
RETRIED_BEFORE = "retried_before"
"""The reason of a decision that a record goes nowhere: its letter was put back before, or its event was taken since."""


class Overtaken(Exception):
    """Another worker wrote first; the transaction is to be tried again."""


class Recorded(msgspec.Struct, frozen=True):
    """What the table says of one event: its customer, or ``error`` and ``detail`` when it has none.

    ``version``: of a configuration, which goes to every partition instead.
    """

    customer: str | None
    contact_point: str
    reason: str
    error: str | None = None
    detail: str = ""
    version: int | None = None


class _Detail(msgspec.Struct, omit_defaults=True):
    error: str | None = None
    detail: str = ""
    version: int | None = None


@dataclass(slots=True)
class _Known(Directory):
    owners: dict[Point, Owner] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, str] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Undecided:
    """An event at its place in the log. ``configuration``: the canonical body, where it carries one; ``letter``: the
    dead letter that it was put back from."""

    offset: int
    event: InteractionReceived
    configuration: str | None = None
    letter: str | None = None


class IdentityStore:
    """The identity graph in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def decide(
        self,
        source: str,
        batch: Sequence[Undecided],
        now: int,
        admit: Callable[[Iterable[Recorded]], None] = lambda _: None,
    ) -> dict[int, Recorded]:
        """What the table says of each event of a batch, by offset; decides what it does not say yet.

        ``source``: topic and partition; ``now``: microseconds. ``admit`` is given all of it before the new ones are
        recorded; what it raises leaves them undecided. Raises what asyncpg raises when the server is gone.
        """
        for _ in range(_ATTEMPTS):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    return await self._decide(connection, source, batch, now, admit)
            except Overtaken:
                continue
        raise Overtaken(f"{source}: still overtaken after {_ATTEMPTS} attempts")

    async def _decide(
        self,
        connection: Connection,
        source: str,
        batch: Sequence[Undecided],
        now: int,
        admit: Callable[[Iterable[Recorded]], None],
    ) -> dict[int, Recorded]:
        recorded = await self._recorded(connection, source, batch)
        open_ones = [each for each in batch if each.offset not in recorded]
        if not open_ones:
            admit(recorded.values())
            return recorded
        put_back = {each.offset: each.letter for each in open_ones if each.letter is not None}
        first = await dead_letters.claim(connection, source, put_back, now) if put_back else set()
        known = await self._known(connection, [each.event for each in open_ones])
        made: dict[int, Recorded] = {}
        decisions: list[tuple[InteractionReceived, Decision]] = []
        for each in open_ones:
            if each.letter is not None and (each.offset not in first or _taken_since(each, known)):
                made[each.offset] = Recorded(None, "", RETRIED_BEFORE)
                continue
            if each.configuration is not None:
                made[each.offset] = await self._configure(connection, each.event, each.configuration, now)
                continue
            try:
                decision = decide(each.event, known)
            except HubError as error:
                made[each.offset] = Recorded(None, "", "not_resolvable", error.reason.value, str(error))
                continue
            made[each.offset] = Recorded(decision.customer, decision.point, decision.reason)
            decisions.append((each.event, decision))
            known.repeats[each.event.id] = known.tickets[each.event.id] = decision.customer
            known.owners.update({link.point: Owner(link.customer) for link in decision.links})
            known.customers[decision.customer] = decision.customer
        admit((recorded | made).values())
        await self._write_graph(connection, decisions, now)
        await self._write_decisions(
            connection, source, [(e.offset, e.event.id, made[e.offset]) for e in open_ones], now
        )
        return recorded | made

    async def _recorded(self, connection: Connection, source: str, batch: Sequence[Undecided]) -> dict[int, Recorded]:
        rows = await connection.fetch(_DECISIONS, source, batch[0].offset, batch[-1].offset)
        found: dict[int, Recorded] = {}
        for row in rows:
            extra = msgspec.json.decode(row["detail"], type=_Detail) if row["detail"] else _Detail()
            found[row["source_offset"]] = Recorded(
                row["customer"], row["contact_point"] or "", row["reason"], extra.error, extra.detail, extra.version
            )
        return found

    async def _known(self, connection: Connection, events: Sequence[InteractionReceived]) -> _Known:
        points = sorted({point for event in events for point, _ in points_of(event)})
        tickets, customers = set[str](), set[str]()
        for event in events:
            ticket, customer = named(event)
            tickets |= {ticket} if ticket and _is_uuid(ticket) else set()
            customers |= {customer} if customer and _is_uuid(customer) else set()
        known = _Known()
        if points:
            columns = [texts(column) for column in zip(*points, strict=True)]
            rows = await connection.fetch(_OWNERS, *columns)
            found = {Point(r["tenant"], r["kind"], r["value"]): Owner(r["customer"], r["shared"]) for r in rows}
            known.owners = found
        ids = {event.id for event in events}
        rows = await connection.fetch(_BY_EVENT, sorted(ids | tickets))
        before = {row["event"]: row["customer"] for row in rows}
        known.repeats = {event: owner for event, owner in before.items() if event in ids}
        known.tickets = dict(before)
        if customers:
            rows = await connection.fetch(_CUSTOMERS, sorted(customers))
            known.customers = {row["id"]: row["customer"] for row in rows}
        return known

    async def _write_graph(
        self, connection: Connection, decisions: Sequence[tuple[InteractionReceived, Decision]], now: int
    ) -> None:
        begun = {d.customer: (e, d.links[0].point) for e, d in decisions if d.is_new}
        if begun:
            rows = [(customer, e.tenant, now, point.kind, point.value) for customer, (e, point) in begun.items()]
            ids, tenants, times, kinds, values = zip(*rows, strict=True)
            await connection.execute(_ADD_CUSTOMERS, ids, tenants, times, texts(kinds), texts(values))
        links: Mapping[Point, tuple[Link, str]] = {link.point: (link, e.id) for e, d in decisions for link in d.links}
        if links:
            added = await connection.fetch(
                _ADD_CONTACT_POINTS,
                texts(point.tenant for point in links),
                texts(point.kind for point in links),
                texts(point.value for point in links),
                [link.customer for link, _ in links.values()],
                [link.verified for link, _ in links.values()],
                [link.because for link, _ in links.values()],
                [now] * len(links),
                [event for _, event in links.values()],
            )
            if len(added) != len(links):
                raise Overtaken("a contact point was linked by somebody else in this moment")
        suggestions = [(e, d.suggestion) for e, d in decisions if d.suggestion is not None]
        if suggestions:
            await connection.execute(
                _ADD_SUGGESTIONS,
                [event.tenant for event, _ in suggestions],
                [event.id for event, _ in suggestions],
                [",".join(suggestion.customers) for _, suggestion in suggestions],
                [as_json(suggestion.points) for _, suggestion in suggestions],
                now,
            )

    async def _write_decisions(
        self, connection: Connection, source: str, rows: Sequence[tuple[int, str, Recorded]], now: int
    ) -> None:
        details = [
            as_json(_Detail(row.error, row.detail, row.version)) if row.error or row.version is not None else None
            for _, _, row in rows
        ]
        added = await connection.fetch(
            _ADD_DECISIONS,
            source,
            [offset for offset, _, _ in rows],
            [event for _, event, _ in rows],
            [row.customer for _, _, row in rows],
            texts(row.contact_point for _, _, row in rows),
            [row.reason for _, _, row in rows],
            details,
            now,
        )
        if len(added) != len(rows):
            raise Overtaken("these offsets were decided by somebody else in this moment")

    async def _configure(self, connection: Connection, event: InteractionReceived, body: str, now: int) -> Recorded:
        told = event.facts if isinstance(event.facts, Configuration) else Configuration("", "")
        version = await connection.fetchval(
            _ADD_CONFIGURATION,
            event.tenant,
            told.name,
            event.id,
            body,
            now,
            storable(event.source),
            storable_or_null(event.actor.id if event.actor else None),
            storable(told.body),
        )
        return Recorded(None, "", "configuration", version=version)


def _taken_since(each: Undecided, known: _Known) -> bool:
    """Whether the event of a letter of this stage was sent on meanwhile, because it was delivered again."""
    return str(each.letter).endswith("/identity") and each.event.id in known.repeats


def _is_uuid(value: str) -> bool:
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False
