"""Which alerts a clock's verdicts open and close, and what an alert says.

Everything here is a decision about values: the inbox around it reads and writes, and ``domain.alert_delivery`` decides
what a receiver is told next. An alert is one promise at one threshold in one episode of a clock; it opens at most once
and closes at most once, whatever the order in which verdicts arrive and however often, since a clock's verdicts are
numbered (``revision``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from schemas.records import SlaVerdictIssued

NAMESPACE = uuid.UUID("0d5b6a54-6a1f-5c36-9a53-8d2f3a1b7e90")
SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What an alert is about."""

    WARNING = "warning"
    BREACH = "breach"


class Phase(StrEnum):
    """What a receiver is told, or was told last."""

    NOTHING = "nothing"
    OPEN = "open"
    RESOLVE = "resolve"


class Because(StrEnum):
    """Why an alert was closed."""

    MET = "met"
    BREACHED = "breached"
    ENDED = "ended"
    RETRACTED = "retracted"
    CANCELLED = "cancelled"
    OVERTAKEN = "overtaken"


class Reading(StrEnum):
    """What became of a verdict that was read."""

    OPENED = "opened"
    CLOSED = "closed"
    QUIET = "quiet"
    NOTHING_OPEN = "nothing_open"
    REPEATED = "repeated"
    UNKNOWN_OUTCOME = "unknown_outcome"


@dataclass(frozen=True, slots=True, order=True)
class AlertKey:
    """What makes two alerts the same one. ``threshold`` of a warning: percent of the target or, below zero, seconds
    before the due; 0 for a breach."""

    ticket: str
    metric: str
    cycle: int
    kind: str
    threshold: int
    episode: int

    @property
    def id(self) -> uuid.UUID:
        """The alert's id: uuid5 of the key, so that every attempt and every receiver knows it by the same one."""
        parts = (self.ticket, self.metric, str(self.cycle), self.kind, str(self.threshold), str(self.episode))
        return uuid.uuid5(NAMESPACE, "\x1f".join(parts))


@dataclass(frozen=True, slots=True)
class Announced:
    """One alert of a clock as it stands. ``open`` is false for a closed one and for one that was quiet."""

    key: AlertKey
    open: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What was made of a clock's verdicts so far; ``revision`` is the highest one read."""

    revision: int = 0
    alerts: tuple[Announced, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a verdict changes: the alert it opens, those it closes and why. ``quiet``: why the new one pages nobody."""

    reading: Reading
    known: Known
    opens: AlertKey | None = None
    closes: tuple[tuple[AlertKey, Because], ...] = ()
    quiet: str | None = None

    @property
    def worth_keeping(self) -> bool:
        """Whether anything has to be remembered: a first verdict that opens nothing changes nothing when repeated."""
        return self.reading is not Reading.REPEATED and (bool(self.known.alerts) or self.known.revision > 1)


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell one receiver. ``opened`` is the verdict that opened the alert and the source of its labels;
    ``closed`` and ``because`` are set when it is over."""

    key: AlertKey
    phase: Phase
    opened: SlaVerdictIssued
    closed: SlaVerdictIssued | None = None
    because: Because | None = None

    @property
    def message_id(self) -> str:
        """Equal on every attempt to tell this phase of this alert, so that a receiver can drop what it has."""
        return str(uuid.uuid5(self.key.id, self.phase.value))


def clock_id(verdict: SlaVerdictIssued) -> uuid.UUID:
    """The id of the clock a verdict is about: uuid5 of ticket, metric and cycle."""
    return uuid.uuid5(NAMESPACE, "\x1f".join((verdict.ticket, verdict.metric, str(verdict.cycle))))


def decide(known: Known, verdict: SlaVerdictIssued) -> Decision:
    """What ``verdict`` changes about its clock's alerts.

    A verdict whose revision is not above the highest one read is a repeat, or was overtaken by a later one. A warning
    gives way to the breach; an alert of an earlier episode gives way to whatever is said in a later one. A breach is
    open until its promise is done at last (``ended``), or it is taken back.
    """
    if verdict.revision <= known.revision:
        return Decision(Reading.REPEATED, known)
    opens = _opened_by(verdict)
    if opens is not None and any(each.key == opens for each in known.alerts):
        opens = None
    if opens is not None and opens.kind == Kind.WARNING and _breach_open(known, verdict.episode):
        opens = None
    after = tuple(Announced(each.key, each.open and _closing(each.key, verdict) is None) for each in known.alerts)
    closes = tuple(
        (each.key, because)
        for each in known.alerts
        if each.open and (because := _closing(each.key, verdict)) is not None
    )
    if opens is not None:
        ended = _closing(opens, verdict)
        after = (*after, Announced(opens, open=verdict.quiet is None and ended is None))
        if ended is not None and verdict.quiet is None:
            closes = (*closes, (opens, ended))
    return Decision(_reading(verdict, opens, closes), Known(verdict.revision, after), opens, closes, verdict.quiet)


def _opened_by(verdict: SlaVerdictIssued) -> AlertKey | None:
    if verdict.outcome == "breached":
        return AlertKey(verdict.ticket, verdict.metric, verdict.cycle, Kind.BREACH, 0, verdict.episode)
    if verdict.outcome == "warned":
        threshold = verdict.threshold or 0
        return AlertKey(verdict.ticket, verdict.metric, verdict.cycle, Kind.WARNING, threshold, verdict.episode)
    return None


def _breach_open(known: Known, episode: int) -> bool:
    return any(each.open and each.key.kind == Kind.BREACH and each.key.episode == episode for each in known.alerts)


def _closing(key: AlertKey, verdict: SlaVerdictIssued) -> Because | None:
    """Why a verdict closes an open alert of its clock; None when it leaves it alone."""
    if verdict.outcome == "cancelled":
        return Because.CANCELLED
    if verdict.outcome == "retracted" and key.episode <= verdict.episode:
        return Because.RETRACTED
    if verdict.outcome == "met":
        return Because.MET if key.kind == Kind.WARNING else Because.OVERTAKEN if key.episode < verdict.episode else None
    if verdict.outcome == "breached" and key.kind == Kind.WARNING:
        return Because.BREACHED
    if key.episode < verdict.episode:
        return Because.OVERTAKEN
    if verdict.outcome == "ended":
        return Because.ENDED
    return None


def _reading(
    verdict: SlaVerdictIssued, opens: AlertKey | None, closes: tuple[tuple[AlertKey, Because], ...]
) -> Reading:
    if verdict.outcome not in ("warned", "met", "breached", "ended", "retracted", "cancelled"):
        return Reading.UNKNOWN_OUTCOME
    if opens is not None:
        return Reading.QUIET if verdict.quiet is not None else Reading.OPENED
    return Reading.CLOSED if closes else Reading.NOTHING_OPEN


def labels(alert: Alert) -> dict[str, str]:
    """What identifies the alert to Alertmanager: taken from the opening verdict alone, so equal when it is closed."""
    told = alert.opened
    named = {
        "alertname": "SlaBreached" if alert.key.kind == Kind.BREACH else "SlaWarning",
        "severity": "critical" if alert.key.kind == Kind.BREACH else "warning",
        "tenant": told.tenant,
        "ticket": told.ticket,
        "metric": told.metric,
        "cycle": str(told.cycle),
        "episode": str(told.episode),
        "threshold": str(alert.key.threshold) if alert.key.threshold else None,
        "priority": told.priority,
        "team": told.team,
        "organisation": told.organisation,
    }
    return {name: value for name, value in named.items() if value}


def notes(alert: Alert) -> dict[str, str]:
    """What it says to a person (Alertmanager: annotations): ``summary``, ``description``, ``elapsed``, ``reason``."""
    told = alert.closed or alert.opened
    found = {
        "summary": summary(alert),
        "description": (
            f"Promised by policy {told.policy} version {told.policy_version}: {span(told.target)} of calendar"
            f" {told.calendar}. The clock began {instant(told.started_at)}; {span(told.elapsed)} of it were counted by"
            f" {instant(told.judged_at)}."
        ),
        "elapsed": span(told.elapsed),
    }
    return found if alert.because is None else found | {"reason": alert.because.value}


def summary(alert: Alert) -> str:
    """One sentence: what was promised, by how much it is missed, when it was due, who owns the ticket."""
    told = alert.opened
    promise = f"the {told.metric.replace('_', ' ')} promised within {span(told.target)} on ticket {told.ticket}"
    due = f"due {instant(told.due_at)}" if told.due_at is not None else "with no due time"
    if alert.phase is Phase.RESOLVE and alert.because is not None:
        return f"Over: {promise}, {due}; {_OVER[alert.because]}."
    owner = f"owned by {_owner(told)}"
    if alert.key.kind == Kind.BREACH:
        late = told.elapsed - told.target
        return f"{_upper(promise)} was {due} and is {f'{span(late)} late' if late >= SECOND else 'now late'}, {owner}."
    threshold = alert.key.threshold
    how_far = f"with {threshold} % of the time used up" if threshold > 0 else f"within {span(-threshold * SECOND)}"
    return f"{_upper(promise)} is {due}, {how_far}, {owner}."


_OVER = {
    Because.MET: "it was kept",
    Because.BREACHED: "the breach has its own alert",
    Because.ENDED: "what was promised was done late",
    Because.RETRACTED: "the verdict was retracted, as a late event shows",
    Because.CANCELLED: "the clock was cancelled",
    Because.OVERTAKEN: "a later verdict took its place",
}


def _owner(told: SlaVerdictIssued) -> str:
    if told.team and told.organisation:
        return f"team {told.team} of {told.organisation}"
    return f"team {told.team}" if told.team else told.organisation or "nobody yet"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def instant(at: int) -> str:
    """Microseconds since 1970 as ``2026-03-05 14:00 UTC``, with seconds where there are any."""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC" if moment.second else "%Y-%m-%d %H:%M UTC")


def span(duration: int) -> str:
    """Microseconds as ``1 h 12 min``; seconds only below an hour, since nobody reads them above. Never rounded up."""
    seconds = max(duration, 0) // SECOND
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    shown = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in shown if number) or "0 s"
