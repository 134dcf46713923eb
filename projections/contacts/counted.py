"""What figures are made of: counts of the turns and contacts of a period, by group, and the terms of their queues.

Counting is done by PostgreSQL; whether a contact is a repeat, and a ticket resolved with its first contact, is decided
by ``domain.repeats``, for those few contacts of which it is a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from domain.attribution import Breach
from domain.figures import By, Customers, Tally
from domain.policies import EMPTY, Bundle, QueueTerms
from domain.policy_reading import read_bundle
from domain.repeats import FORWARD_GAP, Call, Owner, classify, first_contact
from domain.service_levels import Counts
from projections.sql import load
from projections.values import from_json, texts_or_null
from schemas.records import Interval

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_TALLY = load(__file__, "tally")
_CUSTOMERS = load(__file__, "customers")
_RETURNING = load(__file__, "returning")
_ROOTS = load(__file__, "roots")
_TICKETS = load(__file__, "tickets")
_BUNDLES = load(__file__, "bundles")
_BREACHES = load(__file__, "breaches")
_evidence = from_json(list[Interval])
_COUNTS = Counts._fields
_TALLIED = tuple(name for name in Tally.__dataclass_fields__ if name not in ("queue", "counts"))


class Group(NamedTuple):
    """What is told of together: of one tenant, the turns of one queue, team, organisation or channel; None for those
    of none."""

    tenant: str
    name: str | None


class Wanted(NamedTuple):
    """Turns offered in [``since``, ``until``), microseconds; None leaves a filter out."""

    since: int
    until: int
    by: By = "queue"
    tenant: str | None = None
    queue: str | None = None
    organisation: str | None = None
    team: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of each group."""

    tallies: Mapping[Group, Sequence[Tally]]
    customers: Mapping[Group, Customers]


async def bundles(connection: Connection, tenant: str | None) -> dict[str, Bundle]:
    """The bundle in force of each tenant, or of one."""
    rows = await connection.fetch(_BUNDLES, tenant)
    return {row["tenant"]: read_bundle(msgspec.json.decode(row["body"]), row["version"]) for row in rows}


async def count(connection: Connection, wanted: Wanted, agreed: Mapping[str, Bundle], now: int) -> Counted:
    """Count it all, in the caller's transaction. ``agreed``: the bundles whose terms count; ``now``: what is still open
    then may yet change."""
    terms = [each for tenant, bundle in agreed.items() for each in _terms(tenant, bundle)]
    names = texts_or_null((wanted.tenant, wanted.queue, wanted.organisation, wanted.team, wanted.channel))
    usual = QueueTerms("")
    rows = await connection.fetch(
        _TALLY, wanted.since, wanted.until, wanted.by, *names[:4], usual.answer_within, usual.short_abandon,
        *_columns(terms, 6), names[4],
    )  # fmt: skip
    tallies: dict[Group, list[Tally]] = {}
    for row in rows:
        tallies.setdefault(Group(row["tenant"], row["name"]), []).append(_tally(row))
    customers = {}
    for tenant in sorted({group.tenant for group in tallies}) if wanted.tenant is None else [wanted.tenant]:
        window = agreed.get(tenant, EMPTY).repeat_window
        given = [(queue, team, organisation) for of, queue, _, _, team, organisation in terms if of == tenant]
        asked = wanted._replace(tenant=tenant)
        customers.update(await _customers(connection, asked, names, _columns(given, 3), window, now))
    return Counted(tallies, customers)


def _terms(tenant: str, bundle: Bundle) -> list[tuple[object, ...]]:
    """The terms of each queue that the bundle names, and who its routes give the queue to, where that is one."""
    found: list[tuple[object, ...]] = []
    for queue in sorted({*bundle.queues, *(route.queue for route in bundle.routes if route.queue)}):
        given = {(route.team, route.organisation) for route in bundle.routes if route.queue == queue}
        team, organisation = given.pop() if len(given) == 1 else (None, None)
        terms = bundle.terms_for(queue)
        found.append((tenant, queue, terms.answer_within, terms.short_abandon, team, organisation))
    return found


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _tally(row: asyncpg.Record) -> Tally:
    return Tally(row["queue"], Counts(*(row[name] for name in _COUNTS)), **{name: row[name] for name in _TALLIED})


async def breaches(connection: Connection, wanted: Wanted) -> dict[str, list[Breach]]:
    """The clocks that began in the period and are breached, by tenant; of the filters only the tenant is looked at."""
    found: dict[str, list[Breach]] = {}
    for row in await connection.fetch(_BREACHES, wanted.since, wanted.until, wanted.tenant):
        breach = Breach(row["metric"], row["target"], _evidence(row["evidence"]))
        found.setdefault(row["tenant"], []).append(breach)
    return found


class _Candidate(NamedTuple):
    """A contact of which it is a question whether the customer came back, or whether its ticket was resolved by it."""

    key: str
    group: Group
    call: Call
    ticket: str | None
    counts: bool


async def _customers(
    connection: Connection,
    wanted: Wanted,
    names: Sequence[str | None],
    given: Sequence[Sequence[object]],
    window: int,
    now: int,
) -> dict[Group, Customers]:
    """The contacts of one tenant. ``given``: columns of queues, and the teams and organisations they are given to."""
    tenant, others = wanted.tenant, names[1:4]
    rows = await connection.fetch(
        _CUSTOMERS, wanted.since, wanted.until, wanted.by, tenant, *others, now - window, names[4], *given
    )
    found = {
        Group(row["tenant"], row["name"]): Customers(contacts=row["contacts"], open_windows=row["recent"])
        for row in rows
    }
    rows = await connection.fetch(_RETURNING, wanted.since, wanted.until, window, tenant, *given)
    repeated: set[str] = set()
    of_tickets: dict[str, _Candidate] = {}
    for _, some in groupby(rows, lambda row: (row["customer"], row["about"])):
        candidates = {each.key: each for each in (_candidate(row, wanted) for row in some)}
        for told in classify((each.call for each in candidates.values()), window, FORWARD_GAP):
            if told.triggers:
                repeated.add(told.call.key)
        for each in candidates.values():
            if each.counts and each.key in repeated:
                _add(found, each.group, repeated=1, open_windows=-int(each.call.at > now - window))
            if each.ticket and each.counts:
                _keep_first(of_tickets, each.ticket, each)
    going_on: dict[str, _Candidate] = {}
    for row in await connection.fetch(_ROOTS, list(of_tickets)):
        _keep_first(going_on, row["root"], of_tickets[row["id"]])
    for row in await connection.fetch(_TICKETS, list(going_on)):
        each = going_on[row["id"]]
        judged = first_contact(
            resolved_at=row["resolved_at"],
            contacts=row["contacts"],
            organisations=row["organisations"],
            reopened=row["reopened"],
            repeated=each.key in repeated,
            contact_at=each.call.at,
            window=window,
            now=now,
        )
        if judged is None:
            _add(found, each.group, unresolved=1)
        else:
            provisional = judged.first and judged.provisional
            _add(found, each.group, resolved=1, resolved_first=int(judged.first), provisional=int(provisional))
    return found


def _keep_first(of_tickets: dict[str, _Candidate], ticket: str, each: _Candidate) -> None:
    held = of_tickets.get(ticket)
    if held is None or (each.call.at, each.key) < (held.call.at, held.key):
        of_tickets[ticket] = each


def _candidate(row: asyncpg.Record, wanted: Wanted) -> _Candidate:
    key = f"{row['id']}/{row['number']}"
    asked = (("queue", wanted.queue), ("organisation", wanted.organisation), ("team", wanted.team),
             ("channel", wanted.channel))  # fmt: skip
    counts = row["offered_at"] < wanted.until and all(want is None or row[name] == want for name, want in asked)
    owner = Owner(row["organisation"], row["team"], row["person"])
    group = Group(row["tenant"], row[wanted.by])
    return _Candidate(key, group, Call(row["offered_at"], key, owner), row["ticket"], counts)


def _add(found: dict[Group, Customers], group: Group, **more: int) -> None:
    held = found.get(group, Customers())
    values: dict[str, Any] = {name: getattr(held, name) + more.get(name, 0) for name in Customers.__dataclass_fields__}
    found[group] = Customers(**values)
