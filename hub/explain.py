"""``hub sla explain``: what was promised for a ticket and what became of it, in words and with the evidence."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from projections.postgres import open_pool, reading
from projections.tickets import store as tickets
from projections.verdicts import store as verdicts
from runtime.clock import SECOND
from runtime.settings import Settings
from schemas.records import Clock, Interval, SlaVerdictIssued, TicketChanged

PROMISES = {"first_response": "a first answer", "resolution": "a resolution"}


def at(instant: int | None) -> str:
    """An instant as a person reads it, in UTC to the second."""
    return "never" if instant is None else f"{datetime.fromtimestamp(instant / SECOND, UTC):%Y-%m-%d %H:%M:%S}"


def lasting(microseconds: int) -> str:
    """A duration in hours, minutes and seconds, without rounding away a part of a second."""
    seconds, rest = divmod(microseconds, SECOND)
    text = f"{seconds // 3600} h {seconds % 3600 // 60:02} min {seconds % 60:02} s"
    return f"{text} {rest} µs" if rest else text


def owner(interval: Interval | SlaVerdictIssued | TicketChanged) -> str:
    """Who it belonged to."""
    person = getattr(interval, "person", None)
    return " / ".join(part for part in (interval.organisation, interval.team, person) if part) or "nobody"


def sentence(verdict: SlaVerdictIssued) -> str:
    """What became of a promise, in one sentence."""
    promise = f"{PROMISES.get(verdict.metric, verdict.metric)} within {lasting(verdict.target)}"
    match verdict.outcome:
        case "warned":
            used = f"{verdict.threshold} % of {promise} were used"
            return f"Warned at {at(verdict.judged_at)}: {used}; due {at(verdict.due_at)}."
        case "met":
            return f"Met: {promise} was promised, and it took {lasting(verdict.elapsed)} until {at(verdict.ended_at)}."
        case "breached":
            return f"Breached at {at(verdict.due_at)}: {promise} was promised; {lasting(verdict.elapsed)} had passed."
        case "ended":
            return f"Done late at {at(verdict.ended_at)}: it took {lasting(verdict.elapsed)}; {promise} was promised."
        case "retracted":
            return f"Retracted at {at(verdict.judged_at)}: what became known since shows {lasting(verdict.elapsed)}."
        case _:
            return f"Cancelled at {at(verdict.judged_at)}: {promise} is no longer promised."


def clock_sentence(clock: Clock) -> str:
    """Where a clock stands."""
    promise = f"{PROMISES.get(clock.metric, clock.metric)} within {lasting(clock.target)}"
    due = f"due {at(clock.due_at)}" if clock.due_at is not None else "standing still"
    return f"{promise}: {clock.state}, {due}, {lasting(clock.elapsed)} used when last judged ({clock.policy})"


async def explain(settings: Settings, wanted: str, out: Console, err: Console) -> int:
    """Print a ticket's promises and verdicts. Returns 1 when there is no such ticket."""
    try:
        uuid.UUID(wanted)
    except ValueError:
        err.print(f"{wanted!r} is no ticket's id: that is a UUID, as in the address of its page", highlight=False)
        return 1
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            ticket = await tickets.get(connection, wanted)
            found = await verdicts.of_tickets(connection, [wanted])
    finally:
        await pool.close()
    if ticket is None:
        err.print(f"there is no ticket {wanted}", highlight=False)
        return 1
    now = f"{ticket.status}, {ticket.priority}, with {owner(ticket)}"
    out.print(f"[bold]Ticket {ticket.id}[/] — {now}", highlight=False)
    for clock in ticket.clocks:
        out.print(f"  {clock_sentence(clock)}", highlight=False)
    for verdict in sorted(found, key=lambda each: (each.judged_at, each.metric, each.revision)):
        out.print()
        out.print(f"[bold]{sentence(verdict)}[/]", highlight=False)
        calendar = f"calendar {verdict.calendar} ({verdict.calendar_digest[:12]})"
        out.print(f"  by policy {verdict.policy}, version {verdict.policy_version}, {calendar}", highlight=False)
        out.print(_evidence(verdict))
    return 0


def _evidence(verdict: SlaVerdictIssued) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 2))
    for column in ("from (UTC)", "to (UTC)", "counted", "status", "owner", "began by", "ended by"):
        table.add_column(column)
    for each in verdict.evidence:
        by = (each.began_by[:8], each.ended_by[:8])
        table.add_row(at(each.begin), at(each.end), lasting(each.counted), each.state, owner(each), *by)
    table.add_row("", "sum", lasting(sum(each.counted for each in verdict.evidence)), "", "", "", "", style="bold")
    return table
