"""Escalation by rule: what a bundle says is to happen to a ticket when a promise on it is warned of or breached.

A rule makes a fact of the ticket, as a person's command would, so the ticket is judged with it from then on, and a
replay makes the same one. It fires once per cycle of a promise, and never takes a ticket back to a lower level. A
breach that pages nobody, since it was found late, moves no ticket either.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.outputs import derived_id
from domain.policies import Bundle, Escalation
from domain.ticket_rules import FINISHED
from domain.tickets import History
from schemas.casework_state import Fact, TicketState
from schemas.records import SlaVerdictIssued, TicketCommand


def due(
    bundle: Bundle, ticket: TicketState, course: History, verdicts: Iterable[SlaVerdictIssued], at: int
) -> list[tuple[str, Fact]]:
    """The escalations that follow from what was just said of a ticket's promises, with the names of their rules.

    ``at``: the instant at which it was judged, in microseconds.
    """
    if course.standing.status in FINISHED:
        return []
    level = course.standing.level
    attributes = course.moments[-1].attributes
    before = {fact.id for fact in ticket.facts if fact.type == "ticket.escalated"}
    found: list[tuple[str, Fact]] = []
    for verdict in verdicts:
        for rule in bundle.escalations:
            if rule.level < level or verdict.quiet or not _calls(rule, verdict) or not rule.match.holds(attributes):
                continue
            ids = [_id(ticket, rule, verdict, episode) for episode in range(verdict.episode + 1)]
            if before.isdisjoint(ids):
                before.add(ids[-1])
                level = rule.level
                found.append((rule.name, _fact(ticket, rule, verdict, ids[-1], at)))
    return found


def _calls(rule: Escalation, verdict: SlaVerdictIssued) -> bool:
    """Whether a verdict is what a rule waits for. A later warning of its kind says that the earlier is past, too."""
    if (rule.metric, rule.on) != (verdict.metric, verdict.outcome):
        return False
    told = verdict.threshold
    if rule.on == "breached" or rule.threshold is None or told is None:
        return True
    return told >= rule.threshold and (told < 0) == (rule.threshold < 0)


def _id(ticket: TicketState, rule: Escalation, verdict: SlaVerdictIssued, episode: int) -> str:
    return derived_id(ticket.id, "escalation", rule.name, verdict.metric, str(verdict.cycle), str(episode))


def _fact(ticket: TicketState, rule: Escalation, verdict: SlaVerdictIssued, fact_id: str, at: int) -> Fact:
    return Fact(
        at=at,
        id=fact_id,
        type="ticket.escalated",
        ticket=ticket.id,
        because="rule",
        channel="internal",
        direction="internal",
        conversation=f"rule:{rule.name}",
        actor="system",
        automatic=True,
        command=TicketCommand(
            ticket=ticket.id,
            queue=rule.queue,
            team=rule.team,
            organisation=rule.organisation,
            person=rule.person,
            level=rule.level,
            comment=f"{verdict.metric} {verdict.outcome}",
        ),
    )
