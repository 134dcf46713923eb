"""``hub sla explain``: what was promised for a ticket and what became of it, in words and with the evidence.

Verdicts come from the tables. Clocks that still run are judged from casework's own state, which is on Kafka; where that
does not answer, they are shown as the tables have them, and it is said.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from domain.recheck import MEANINGS, recheck, terms_of
from domain.sla import Judged, evidence
from hub.http.answers import Ticket as TicketAnswer
from hub.http.answers import instant, instant_or_none
from hub.http.verdict_answers import Interval as IntervalAnswer
from hub.http.verdict_answers import VerdictInFull
from hub.sla.basis import Basis, basis_of
from hub.sla.running import open_clocks
from hub.sla.words import (
    Events,
    holders,
    lasting,
    local,
    moment,
    owner,
    promise,
    sentences,
    standing,
)
from hub.verify.log import Refused, open_log
from hub.wiring import casework_topics, codec_for
from projections.postgres import open_pool, reading
from projections.tickets import store as tickets
from projections.verdicts import store as verdicts
from runtime.clock import SECOND, clock_for
from runtime.settings import Settings
from schemas.records import Interval, SlaVerdictIssued, TicketChanged

OPEN = frozenset({"running", "paused", "breached_running"})


class Explained(NamedTuple):
    """All there is to say of a ticket. ``running`` is None where casework's state could not be read."""

    ticket: TicketChanged
    verdicts: list[SlaVerdictIssued]
    basis: Basis
    running: list[Judged] | None
    now: int


async def explain(
    settings: Settings, wanted: str, out: Console, err: Console, metric: str = "", as_json: bool = False
) -> int:
    """Print a ticket's promises and verdicts, or only those of one metric. Returns 1 when there is no such ticket."""
    try:
        uuid.UUID(wanted)
    except ValueError:
        err.print(f"{wanted!r} is no ticket's id: that is a UUID, as in the address of its page", highlight=False)
        return 1
    found = await _read(settings, wanted, metric, err)
    if found is None:
        err.print(f"there is no ticket {wanted}", highlight=False)
        return 1
    if as_json:
        out.print_json(msgspec.json.encode(_document(found)).decode())
        return 0
    _show(found, metric, out)
    return 0


async def _read(settings: Settings, wanted: str, metric: str, err: Console) -> Explained | None:
    now = clock_for(settings.clock_file).now()
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            ticket = await tickets.get(connection, wanted)
            issued = await verdicts.of_tickets(connection, [wanted])
        if ticket is None:
            return None
        if metric:
            ticket = msgspec.structs.replace(ticket, clocks=[each for each in ticket.clocks if each.metric == metric])
            issued = [each for each in issued if each.metric == metric]
        running: list[Judged] | None = []
        if any(clock.state in OPEN for clock in ticket.clocks):
            running = await _running(settings, ticket, now, err)
        if running is not None:
            running = [each for each in running if metric in ("", each.metric)]
        named = {stretch.ended_by for each in running or () for stretch in evidence(each)}
        async with reading(pool) as connection:
            basis = await basis_of(connection, issued, named)
    finally:
        await pool.close()
    return Explained(ticket, sorted(issued, key=_order), basis, running, now)


def _order(verdict: SlaVerdictIssued) -> tuple[int, str, int, int]:
    return verdict.judged_at, verdict.metric, verdict.cycle, verdict.revision


async def _running(settings: Settings, ticket: TicketChanged, now: int, err: Console) -> list[Judged] | None:
    try:
        codec, topics = await codec_for(settings), casework_topics(settings)
        async with open_log(settings.kafka) as log:
            return await open_clocks(settings, codec, topics, log, ticket, now)
    except (KafkaError, Refused, TimeoutError) as error:
        words = f"what runs is shown as it was at the ticket's last change: Kafka does not answer ({error})"
        err.print(words, highlight=False, markup=False, soft_wrap=True)
        return None


# --- for people


def _show(found: Explained, metric: str, out: Console) -> None:
    ticket = found.ticket
    out.print(
        f"[bold]Ticket {ticket.id}[/] — {ticket.status}, {ticket.priority}, with {owner(ticket)}", highlight=False
    )
    for verdict in found.verdicts:
        _show_verdict(verdict, found.basis, out)
    if found.running is None:
        _show_clocks(ticket, out)
    for judged in found.running or ():
        _show_running(judged, found, out)
    if not ticket.clocks and not found.verdicts:
        _plain(out, f"nothing was promised{f' of {metric}' if metric else ''}")


def _bold(out: Console, words: str) -> None:
    out.print(words, style="bold", highlight=False, markup=False, soft_wrap=True)


def _plain(out: Console, words: str) -> None:
    out.print(f"  {words}", highlight=False, markup=False, soft_wrap=True)


def _show_verdict(verdict: SlaVerdictIssued, basis: Basis, out: Console) -> None:
    zone = basis.zone(verdict)
    first, *rest = sentences(verdict, zone, basis.events)
    out.print()
    _bold(out, first)
    for each in rest:
        _plain(out, each)
    calendar = f"calendar {verdict.calendar} ({verdict.calendar_digest[:12]})"
    _plain(out, f"By policy {verdict.policy}, version {verdict.policy_version}, {calendar}.")
    out.print(_table(verdict.evidence, zone, basis.events, verdict))
    for difference in recheck(verdict, basis.calendars):
        words = f"does not hold: {difference.where}: {MEANINGS[difference.finding]}"
        _plain(out, f"{words} ({difference.published} here, {difference.recomputed} recomputed)")


def _show_clocks(ticket: TicketChanged, out: Console) -> None:
    """Clocks that run, as they were when the ticket last changed."""
    for clock in ticket.clocks:
        if clock.state in OPEN:
            due = f"due {moment(clock.due_at)}" if clock.due_at is not None else "standing still"
            used = f"{lasting(clock.elapsed)} of {lasting(clock.target)} used on {moment(ticket.changed_at)}"
            out.print()
            _bold(out, f"{promise(clock.metric)} is {due}; {used}.")
            _plain(out, f"By policy {clock.policy}, version {clock.policy_version}.")


def _show_running(judged: Judged, found: Explained, out: Console) -> None:
    """A clock that no verdict has ended, as it stands now."""
    calendar = judged.bundle.calendars[judged.policy.calendar]
    zone, stretches = calendar.rules.tz, evidence(judged)
    out.print()
    _bold(out, f"{promise(judged.metric)} {_stands(judged, zone)}.")
    used = f"{lasting(judged.elapsed)} of {lasting(judged.target)} are used as of {moment(found.now, zone)}"
    for each in (f"{used}.", holders(stretches), standing(stretches)):
        if each:
            _plain(out, each)
    named = f"calendar {judged.policy.calendar} ({calendar.digest[:12]})"
    _plain(out, f"By policy {judged.policy.name}, version {judged.bundle.version}, {named}.")
    out.print(_table(stretches, zone, found.basis.events, None))


def _stands(judged: Judged, zone: str) -> str:
    if judged.breached_at is not None:
        return f"was due {moment(judged.breached_at, zone)} and is still not done"
    if judged.due_at is None:
        return "runs" if judged.state == "running" else "stands still, so it is due at no instant"
    return f"is due {moment(judged.due_at, zone)}"


def _table(stretches: Sequence[Interval], zone: str, events: Events, verdict: SlaVerdictIssued | None) -> Table:
    """The evidence, a stretch a row; what was promised in it where that is not what the verdict names."""
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 2))
    other = any(each.policy for each in stretches)
    columns = [f"from ({zone})", "to", "counted", "status", "clock", "owner", "began by", "ended by"]
    for column in (*columns, "promised") if other else columns:
        table.add_column(column)
    for each in stretches:
        row = [
            local(each.begin, zone),
            local(each.end, zone),
            lasting(each.counted),
            each.state,
            "runs" if each.running else "stands still",
            owner(each),
            _named(each.began_by, events),
            _named(each.ended_by, events),
        ]
        if other and verdict is not None:
            terms = terms_of(verdict, each)
            row.append(f"{lasting(terms.target)} by {terms.policy}, calendar {terms.calendar}")
        elif other:
            row.append(f"{lasting(each.target or 0)} by {each.policy}, {each.calendar}" if each.policy else "")
        table.add_row(*row)
    total = lasting(sum(each.counted for each in stretches))
    table.add_row("", "sum", total, *[""] * (len(table.columns) - 3), style="bold")
    return table


def _named(by: str, events: Events) -> str:
    told = events.get(by)
    return f"{told.type} {by[:8]}" if told else by[:8]


# --- for programs


def _document(found: Explained) -> dict[str, object]:
    """The ticket as the API answers with it, each verdict in full, and the clocks that run."""
    running = None if found.running is None else [_running_answer(each) for each in found.running]
    return {
        **TicketAnswer.of(found.ticket).model_dump(),
        "verdicts": [VerdictInFull.in_full(each, found.basis).model_dump() for each in found.verdicts],
        "running": running,
        "as_of": instant(found.now),
    }


def _running_answer(judged: Judged) -> dict[str, object]:
    return {
        "metric": judged.metric,
        "cycle": judged.cycle,
        "state": judged.state,
        "policy": judged.policy.name,
        "policy_version": judged.bundle.version,
        "calendar": judged.policy.calendar,
        "target_seconds": judged.target / SECOND,
        "elapsed_seconds": judged.elapsed / SECOND,
        "started_at": instant(judged.started_at),
        "due_at": instant_or_none(judged.due_at),
        "breached_at": instant_or_none(judged.breached_at),
        "evidence": [IntervalAnswer.of(each).model_dump() for each in evidence(judged)],
    }
