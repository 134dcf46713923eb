"""Verdicts as the reading API answers with them: evidence, words, whose time it was, and whether all of it follows.

Instants are RFC 3339 in UTC, durations seconds; ``docs/recompute.py`` recomputes a verdict from nothing else.
"""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, Field

from domain import recheck
from domain.attribution import shares
from hub.http.answers import Instant, Ticket, instant, instant_or_none
from hub.sla.basis import Basis
from hub.sla.words import sentences
from runtime.clock import SECOND
from schemas import records


class Interval(BaseModel):
    """A stretch [begin, end) of a clock; ``counted_seconds`` of it are working time and belong to one owner."""

    begin: Instant
    end: Instant
    counted_seconds: float
    began_by: str
    ended_by: str
    state: str
    running: bool = Field(description="False where the clock stood still, whatever the calendar says.")
    queue: str | None
    team: str | None
    organisation: str | None
    person: str | None
    policy: str | None = Field(description="What was promised then; null: what the verdict names, empty: nothing.")
    target_seconds: float | None
    calendar: str | None
    calendar_digest: str | None
    boundary: str | None

    @classmethod
    def of(cls, interval: records.Interval) -> Self:
        return cls(
            begin=instant(interval.begin),
            end=instant(interval.end),
            counted_seconds=interval.counted / SECOND,
            began_by=interval.began_by,
            ended_by=interval.ended_by,
            state=interval.state,
            running=interval.running,
            queue=interval.queue,
            team=interval.team,
            organisation=interval.organisation,
            person=interval.person,
            policy=interval.policy,
            target_seconds=None if interval.target is None else interval.target / SECOND,
            calendar=interval.calendar,
            calendar_digest=interval.calendar_digest,
            boundary=interval.boundary,
        )


class Verdict(BaseModel):
    """What became of a promise, with the evidence to recompute it: ``elapsed_seconds`` is the sum over it."""

    id: str
    tenant: str
    customer: str
    ticket: str
    metric: str
    cycle: int
    outcome: str = Field(
        description="warned, met, breached, ended (a breached promise was done at last), retracted or cancelled"
    )
    revision: int
    episode: int
    target_seconds: float
    elapsed_seconds: float
    started_at: Instant
    judged_at: Instant
    due_at: Instant | None
    ended_at: Instant | None
    threshold: int | None = Field(
        description="Of a warning: the share of the target in percent or, below zero, seconds before the due."
    )
    policy: str
    policy_version: int
    calendar: str
    calendar_digest: str
    boundary: str
    cause: str
    priority: str | None
    channel: str | None
    subject: str | None
    queue: str | None
    team: str | None
    organisation: str | None
    person: str | None
    quiet: str | None = Field(description="Why nobody is paged for it, else null.")
    evidence: list[Interval]

    @classmethod
    def of(cls, verdict: records.SlaVerdictIssued) -> Self:
        return cls(**_plain(verdict))


def _plain(verdict: records.SlaVerdictIssued) -> dict[str, Any]:  # Any: the fields of Verdict
    return {
        "id": verdict.id,
        "tenant": verdict.tenant,
        "customer": verdict.customer,
        "ticket": verdict.ticket,
        "metric": verdict.metric,
        "cycle": verdict.cycle,
        "outcome": verdict.outcome,
        "revision": verdict.revision,
        "episode": verdict.episode,
        "target_seconds": verdict.target / SECOND,
        "elapsed_seconds": verdict.elapsed / SECOND,
        "started_at": instant(verdict.started_at),
        "judged_at": instant(verdict.judged_at),
        "due_at": instant_or_none(verdict.due_at),
        "ended_at": instant_or_none(verdict.ended_at),
        "threshold": verdict.threshold,
        "policy": verdict.policy,
        "policy_version": verdict.policy_version,
        "calendar": verdict.calendar,
        "calendar_digest": verdict.calendar_digest,
        "boundary": verdict.boundary,
        "cause": verdict.cause,
        "priority": verdict.priority,
        "channel": verdict.channel,
        "subject": verdict.subject,
        "queue": verdict.queue,
        "team": verdict.team,
        "organisation": verdict.organisation,
        "person": verdict.person,
        "quiet": verdict.quiet,
        "evidence": [Interval.of(each) for each in verdict.evidence],
    }


class Verdicts(BaseModel):
    """Every verdict on a ticket, in the order they were judged."""

    verdicts: list[Verdict]


class TicketInFull(Ticket):
    """A ticket with its clocks and every verdict on it, in the order they were judged."""

    verdicts: list[Verdict]


class Share(BaseModel):
    """How much of a clock was whose. All ``counted_seconds`` sum to ``elapsed_seconds``."""

    organisation: str | None
    team: str | None
    person: str | None
    counted_seconds: float
    stood_seconds: float = Field(description="Time that passed meanwhile and counts against nobody.")


class Finding(BaseModel):
    """One thing in a verdict that does not follow from its evidence; instants and durations in microseconds."""

    finding: str = Field(description=", ".join(recheck.Finding))
    meaning: str
    where: str
    published: int | str | None
    recomputed: int | str | None


class Recheck(BaseModel):
    """Whether the verdict follows from its evidence; null where a calendar that it names is not known here."""

    holds: bool | None
    findings: list[Finding]

    @classmethod
    def of(cls, differences: list[recheck.Difference]) -> Self:
        unknown = {recheck.Finding.UNKNOWN_CALENDAR}
        holds = None if differences and {each.finding for each in differences} == unknown else not differences
        return cls(
            holds=holds,
            findings=[
                Finding(
                    finding=each.finding.value,
                    meaning=recheck.MEANINGS[each.finding],
                    where=each.where,
                    published=each.published,
                    recomputed=each.recomputed,
                )
                for each in differences
            ],
        )


class VerdictInFull(Verdict):
    """A verdict with what it says in words, whose time it was, and whether it follows from its evidence."""

    words: list[str] = Field(description="What was promised and what became of it, a sentence each.")
    shares: list[Share]
    recheck: Recheck
    calendars: dict[str, dict[str, Any]] = Field(  # Any: a calendar's rules, as JSON
        description="The rules of each calendar that it was counted by, by their digest (SHA-256 of them as JSON)."
    )

    @classmethod
    def in_full(cls, verdict: records.SlaVerdictIssued, basis: Basis) -> Self:
        named = {recheck.terms_of(verdict, each).calendar_digest for each in verdict.evidence}
        named.add(verdict.calendar_digest)
        return cls(
            **_plain(verdict),
            words=sentences(verdict, basis.zone(verdict), basis.events),
            shares=[
                Share(
                    organisation=owner.organisation,
                    team=owner.team,
                    person=owner.person,
                    counted_seconds=share.counted / SECOND,
                    stood_seconds=share.stood / SECOND,
                )
                for owner, share in shares(verdict.evidence).items()
            ],
            recheck=Recheck.of(recheck.recheck(verdict, basis.calendars)),
            calendars={
                digest: json.loads(calendar.rules.canonical)
                for digest, calendar in basis.calendars.items()
                if digest in named
            },
        )
