"""Alerts and their deliveries in PostgreSQL: what the inbox writes, what a deliverer takes and settles, what is read.

Functions work on a connection inside the caller's transaction; what to write is decided in ``domain``. Rows of several
deliveries are always locked in the order of (alert, receiver), so that inbox and deliverers never wait in a ring.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from domain.alert_delivery import State, Step, Telling, begin, step
from domain.alerts import Alert, AlertKey, Announced, Because, Known, Phase
from projections.sql import load
from projections.values import as_json, from_json, texts, texts_or_null
from schemas.records import SlaVerdictIssued

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_ALONE = load(__file__, "alone")
_BEGIN_POSITIONS = load(__file__, "begin_positions")
_POSITIONS = load(__file__, "positions")
_MOVE_POSITIONS = load(__file__, "move_positions")
_REVISIONS = load(__file__, "revisions")
_REVISE_CLOCKS = load(__file__, "revise_clocks")
_OF_CLOCKS = load(__file__, "of_clocks")
_OPEN_ALERTS = load(__file__, "open_alerts")
_ADDRESS_ALERTS = load(__file__, "address_alerts")
_LOCK_DELIVERIES = load(__file__, "lock_deliveries")
_CLOSE_ALERTS = load(__file__, "close_alerts")
_CLOSE_DELIVERIES = load(__file__, "close_deliveries")
_PICK = load(__file__, "pick")
_CONTENTS = load(__file__, "contents")
_LEASE = load(__file__, "lease")
_HELD = load(__file__, "held")
_SETTLE = load(__file__, "settle")
_HURRY = load(__file__, "hurry")
_RELEASE = load(__file__, "release")
_WAITING = load(__file__, "waiting")
_OF_TICKET = load(__file__, "of_ticket")
_PARKED = load(__file__, "parked")
_LOCK = 0x48_55_42_03  # any number that nothing else in this database locks
_verdict = from_json(SlaVerdictIssued)


class Move(NamedTuple):
    """A partition's position before and after a transaction, as the next offset to read."""

    expected: int
    next: int


class Closing(NamedTuple):
    """The verdict that closed an alert, and why."""

    verdict: SlaVerdictIssued
    because: Because


@dataclass(frozen=True, slots=True)
class Opening:
    """A new alert: the verdict that opened it, and for a quiet one the reason why nobody is told."""

    clock: uuid.UUID
    verdict: SlaVerdictIssued
    quiet: str | None


@dataclass(slots=True)
class Changes:
    """What one batch of verdicts changes. An alert may be in ``opened`` and in ``closed``."""

    revisions: dict[uuid.UUID, int] = field(default_factory=dict)
    opened: dict[AlertKey, Opening] = field(default_factory=dict)
    closed: dict[AlertKey, Closing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """An alert that was taken for delivery: the step to try, and how the telling stood ``before``. Others leave it
    alone until ``leased_until`` (microseconds). ``id``: the alert's, which is dear to make of its key."""

    id: uuid.UUID
    alert: Alert
    step: Step
    before: Telling
    leased_until: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How a telling stands after an attempt; ``opened_at`` and ``resolved_at``: when the receiver accepted."""

    alert: uuid.UUID
    telling: Telling
    detail: str | None = None
    opened_at: int | None = None
    resolved_at: int | None = None


class Backlog(NamedTuple):
    """How many alerts wait for a receiver, the earliest instant at which something is to be sent, and how many it
    refused."""

    waiting: int
    next_at: int | None
    parked: int = 0


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as people read it, at one receiver; ``receiver`` is None for an alert that nobody is told of."""

    metric: str
    cycle: int
    kind: str
    threshold: int
    episode: int
    quiet: str | None
    opened_at: int
    closed_at: int | None
    because: str | None
    receiver: str | None
    state: str | None
    attempts: int | None
    reason: str | None
    detail: str | None
    told_at: int | None
    resolved_at: int | None


class Parked(NamedTuple):
    """An alert that a receiver refused: ``reason`` is from ``domain.alert_delivery.PARKING``, ``detail`` its words."""

    ticket: uuid.UUID
    metric: str
    kind: str
    threshold: int
    episode: int
    receiver: str
    reason: str
    detail: str | None


async def alone(connection: Connection) -> None:
    """Wait until no other inbox writes, for this transaction: after a merge, a ticket's verdicts may stand in two
    partitions. PostgreSQL ends the session of one that stands still for ten seconds."""
    await connection.execute(_ALONE, _LOCK)


async def positions(connection: Connection, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """The next offset of each partition; 0 is recorded for one that was never read."""
    await connection.execute(_BEGIN_POSITIONS, topic, list(partitions))
    return {row["partition"]: row["next"] for row in await connection.fetch(_POSITIONS, topic, list(partitions))}


async def move(connection: Connection, topic: str, moves: Mapping[int, Move]) -> set[int]:
    """Move positions. Returns the partitions that did not stand where expected: if any, the caller must roll back."""
    ordered = sorted(moves)
    rows = await connection.fetch(
        _MOVE_POSITIONS,
        topic,
        ordered,
        [moves[each].expected for each in ordered],
        [moves[each].next for each in ordered],
    )
    return set(ordered) - {row["partition"] for row in rows}


async def known(connection: Connection, clocks: Collection[uuid.UUID]) -> dict[uuid.UUID, Known]:
    """What was made of these clocks' verdicts so far; clocks that never had an alert are missing."""
    revisions = {row["id"]: row["revision"] for row in await connection.fetch(_REVISIONS, list(clocks))}
    alerts: dict[uuid.UUID, list[Announced]] = {}
    for row in await connection.fetch(_OF_CLOCKS, list(revisions)):
        announced = Announced(_key(row), open=row["quiet"] is None and row["because"] is None)
        alerts.setdefault(row["clock"], []).append(announced)
    return {clock: Known(revision, tuple(alerts.get(clock, ()))) for clock, revision in revisions.items()}


async def record(connection: Connection, changes: Changes, receivers: Sequence[str], now: int) -> None:
    """Write what a batch changed; each new alert that is not quiet is addressed to every receiver, due at ``now``."""
    if changes.revisions:
        await connection.execute(_REVISE_CLOCKS, list(changes.revisions), list(changes.revisions.values()))
    if changes.opened:
        await _open(connection, changes, receivers, now)
    closed = {key: closing for key, closing in changes.closed.items() if key not in changes.opened}
    if closed:
        ids = [key.id for key in closed]
        reasons = [closing.because.value for closing in closed.values()]
        verdicts = [closing.verdict for closing in closed.values()]
        await connection.execute(_LOCK_DELIVERIES, ids)
        await connection.execute(
            _CLOSE_ALERTS, ids, [v.judged_at for v in verdicts], [as_json(v) for v in verdicts], reasons
        )
        await connection.execute(_CLOSE_DELIVERIES, ids, reasons, now)


async def _open(connection: Connection, changes: Changes, receivers: Sequence[str], now: int) -> None:
    keys = list(changes.opened)
    opened = [changes.opened[key] for key in keys]
    closed = [changes.closed.get(key) for key in keys]
    because = [each and each.because.value for each in closed]
    ids = [key.id for key in keys]
    await connection.execute(
        _OPEN_ALERTS,
        ids,
        [each.clock for each in opened],
        texts(each.verdict.tenant for each in opened),
        [key.ticket for key in keys],
        texts(key.metric for key in keys),
        [key.cycle for key in keys],
        [key.kind for key in keys],
        [key.threshold for key in keys],
        [key.episode for key in keys],
        texts_or_null(each.quiet for each in opened),
        [each.verdict.judged_at for each in opened],
        [as_json(each.verdict) for each in opened],
        [each and each.verdict.judged_at for each in closed],
        [each and as_json(each.verdict) for each in closed],
        because,
    )
    loud = [index for index, each in enumerate(opened) if each.quiet is None]
    if loud and receivers:
        await connection.execute(
            _ADDRESS_ALERTS, [ids[index] for index in loud], [because[index] for index in loud], list(receivers), now
        )


async def take(
    connection: Connection, receiver: str, now: int, leased_until: int, busy: Collection[uuid.UUID], limit: int
) -> list[Taken]:
    """Take up to ``limit`` alerts that are due for a receiver, those that wait before those to be repeated, and record
    that an attempt begins. Superseded ones are settled here and not returned. ``busy`` ones are passed over."""
    rows: list[asyncpg.Record] = []
    for state in (State.WAITING, State.ACCEPTED):
        if len(rows) < limit:
            rows += await connection.fetch(_PICK, receiver, state.value, now, list(busy), limit - len(rows))
    if not rows:
        return []
    # read after the rows are locked, so that an alert is seen as the inbox left it
    contents = {row["id"]: row for row in await connection.fetch(_CONTENTS, [row["alert"] for row in rows])}
    before = [(row["alert"], _telling(row)) for row in rows]
    steps = [step(telling) for _, telling in before]
    begun = [begin(telling, taken) for (_, telling), taken in zip(before, steps, strict=True)]
    working = [taken not in (Step.SUPERSEDE, Step.REST) for taken in steps]
    await connection.execute(
        _LEASE,
        receiver,
        [alert for alert, _ in before],
        [each.state.value for each in begun],
        [each.perhaps.value for each in begun],
        [each.attempts for each in begun],
        [each.next_at for each in begun],
        [leased_until if each else 0 for each in working],
    )
    return [
        Taken(alert, _alert(contents[alert], taken), taken, telling, leased_until)
        for (alert, telling), taken, works in zip(before, steps, working, strict=True)
        if works
    ]


async def held(
    connection: Connection, receiver: str, alerts: Collection[uuid.UUID]
) -> dict[uuid.UUID, tuple[Telling, int]]:
    """How these tellings stand now, with the end of their lease; locked until the transaction ends."""
    rows = await connection.fetch(_HELD, receiver, list(alerts))
    return {row["alert"]: (_telling(row), row["leased_until"]) for row in rows}


async def settle(connection: Connection, receiver: str, settled: Sequence[Settled]) -> None:
    """Write how tellings stand after an attempt, and end their leases."""
    tellings = [each.telling for each in settled]
    await connection.execute(
        _SETTLE,
        receiver,
        [each.alert for each in settled],
        [each.state.value for each in tellings],
        [each.given.value for each in tellings],
        [each.perhaps.value for each in tellings],
        [each.attempts for each in tellings],
        [each.next_at for each in tellings],
        [each.reason for each in tellings],
        texts_or_null(each.detail for each in settled),
        [each.opened_at for each in settled],
        [each.resolved_at for each in settled],
    )


async def hurry(connection: Connection, receiver: str, now: int, reasons: Collection[str]) -> None:
    """Let everything that waits because of one of ``reasons`` be due at ``now``: the receiver answers again."""
    await connection.execute(_HURRY, receiver, now, sorted(reasons))


async def release(connection: Connection, receiver: str, now: int) -> int:
    """Try the parked alerts of a receiver again. Returns how many there were."""
    return int((await connection.execute(_RELEASE, receiver, now)).rpartition(" ")[2])


async def backlog(connection: Connection, receiver: str) -> Backlog:
    """What waits for a receiver."""
    row = await connection.fetchrow(_WAITING, receiver)
    return Backlog(row["waiting"], row["next_at"], row["parked"]) if row else Backlog(0, None)


async def of_ticket(connection: Connection, ticket: str) -> list[AlertView]:
    """The alerts of a ticket, one row per receiver, oldest first."""
    return [AlertView(**dict(row)) for row in await connection.fetch(_OF_TICKET, ticket)]


async def parked(connection: Connection, limit: int = 100) -> list[Parked]:
    """What receivers refused, oldest first."""
    return [Parked(**dict(row)) for row in await connection.fetch(_PARKED, limit)]


def _key(row: asyncpg.Record) -> AlertKey:
    return AlertKey(str(row["ticket"]), row["metric"], row["cycle"], row["kind"], row["threshold"], row["episode"])


def _because(row: asyncpg.Record) -> Because | None:
    return None if row["because"] is None else Because(row["because"])


def _telling(row: asyncpg.Record) -> Telling:
    return Telling(
        state=State(row["state"]),
        given=Phase(row["given"]),
        perhaps=Phase(row["perhaps"]),
        because=_because(row),
        attempts=row["attempts"],
        next_at=row["next_at"],
        reason=row["reason"],
    )


def _alert(row: asyncpg.Record, taken: Step) -> Alert:
    resolving = taken is Step.RESOLVE
    return Alert(
        key=_key(row),
        phase=Phase.RESOLVE if resolving else Phase.OPEN,
        opened=_verdict(row["opened"]),
        closed=_verdict(row["closed"]) if resolving else None,
        because=_because(row) if resolving else None,
    )
