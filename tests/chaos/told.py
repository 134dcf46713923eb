"""What was promised to senders and told to whoever is on call, compared with what there is.

An event that a door or Kafka accepted must be in the log as it was sent. An alert must have been heard by the receiver
in each of its phases, once: a second hearing of a message is only right if the sender could not know of the first one,
because the receiver did not answer it well, or because the alerts' process or PostgreSQL was harmed in between.
"""

from __future__ import annotations

import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from consumers.alerts.inbox import fold
from consumers.alerts.webhook import Message
from domain.alerts import Because, Phase
from hub.verify.check import Report
from hub.verify.evidence import Evidence
from hub.verify.expected import CODEC, event_of
from schemas.records import InteractionReceived, SlaVerdictIssued
from tests.chaos.receiver import Heard, Mood

SLACK = 2.0  # seconds around a harm in which its effects are looked for
Spell = tuple[float, float]


@dataclass(slots=True)
class Told:
    """``alerts``: phases heard at least once; ``again``: why messages came again, and how often; ``doubled``: those
    that came again without a reason, or that nothing asked for; ``superseded``: alerts over before they were told."""

    alerts: int = 0
    superseded: int = 0
    again: Counter[str] = field(default_factory=Counter)
    doubled: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Promised:
    """What was accepted: events by the door, and records by Kafka, as (partition, offset, checksum)."""

    events: Mapping[str, InteractionReceived] = field(default_factory=dict)
    records: Sequence[tuple[int, int, int]] = ()


def check_promised(evidence: Evidence, promised: Promised, report: Report) -> None:
    """Every event that was accepted is in the log, with the content that was sent."""
    received = evidence.logs["interaction-received"]
    there: dict[str, list[InteractionReceived]] = defaultdict(list)
    sums = {}
    for partition, records in received.items():
        for record in records:
            sums[partition, record.offset] = zlib.crc32(record.value or b"")
            event = event_of(record)
            if event is not None and event.id in promised.events:
                there[event.id].append(event)
    for event_id, sent in promised.events.items():
        report.compared["accepted over HTTP"] += 1
        if not there[event_id]:
            report.lost.append(f"event {event_id}: was accepted over HTTP and is not in the log")
        elif any(_content(found) != _content(sent) for found in there[event_id]):
            report.different.append(f"event {event_id}: says something else in the log than was accepted over HTTP")
    for partition, offset, checksum in promised.records:
        report.compared["acknowledged by Kafka"] += 1
        if (partition, offset) not in sums:
            report.lost.append(f"interaction-received/{partition} offset {offset}: was acknowledged and is gone")
        elif sums[partition, offset] != checksum:
            report.different.append(f"interaction-received/{partition} offset {offset}: holds another record")


def _content(event: InteractionReceived) -> tuple[object, ...]:
    points = [(point.kind, point.value) for point in event.contact_points]
    said = (event.type, event.source, event.channel, event.direction, event.occurred_at, event.conversation)
    return (*said, points, event.subject, event.text, event.actor, event.facts)


def check_told(
    evidence: Evidence, heard: Iterable[Heard], states: Mapping[str, str], harmed: Sequence[Spell], report: Report
) -> Told:
    """``states``: by alert, where its telling stands by the table; ``harmed``: when the alerts' process or its database
    was, in seconds since 1970."""
    told = Told()
    changes, _ = fold({}, verdicts_of(evidence))
    asked: dict[str, SlaVerdictIssued] = {}
    phases: dict[str, dict[Phase, str]] = {}
    for key, opening in changes.opened.items():
        if opening.quiet is not None:
            continue
        mine = {Phase.OPEN: str(uuid.uuid5(key.id, Phase.OPEN.value))}
        asked[mine[Phase.OPEN]] = opening.verdict
        closing = changes.closed.get(key)
        if closing is not None:
            mine[Phase.RESOLVE] = str(uuid.uuid5(key.id, Phase.RESOLVE.value))
            asked[mine[Phase.RESOLVE]] = closing.verdict
        phases[str(key.id)] = mine
    kept = _hear(heard, asked, harmed, told, report)
    endings = {str(key.id): closing.because for key, closing in changes.closed.items()}
    for alert, mine in phases.items():
        report.compared["alerts told"] += 1
        never = [phase for phase, message in mine.items() if message not in kept]
        over = endings.get(alert)
        if len(never) == 2 and over is not Because.ENDED and states.get(alert) == "superseded":
            told.superseded += 1
        else:
            report.lost += [f"alert {alert}: nobody was told that it is to {phase}" for phase in never]
    told.alerts = len(kept)
    return told


def _hear(
    heard: Iterable[Heard],
    asked: Mapping[str, SlaVerdictIssued],
    harmed: Sequence[Spell],
    told: Told,
    report: Report,
) -> set[str]:
    """Go through the messages; returns the ids of those that the receiver has."""
    kept = set[str]()
    before: dict[str, Heard] = {}
    for one in heard:
        message = msgspec.json.decode(one.body, type=Message)
        verdict = asked.get(one.id)
        if not one.signed:
            report.different.append(f"webhook {one.id}: its signature is not good")
        if verdict is None:
            told.doubled.append(f"webhook {one.id}: nothing asks for {message.type} of alert {message.data.alert}")
            continue
        if message.data.verdict != verdict:
            report.different.append(f"webhook {one.id}: carries another verdict than the log")
        earlier = before.get(one.id)
        if earlier is not None:
            why = _reason(earlier, one, harmed)
            if why is not None:
                told.again[why] += 1
            elif earlier.kept and one.kept:
                told.doubled.append(f"webhook {one.id}: came again after {one.at - earlier.at:.1f} s without a reason")
        before[one.id] = one
        if one.kept:
            kept.add(one.id)
    return kept


def _reason(earlier: Heard, again: Heard, harmed: Sequence[Spell]) -> str | None:
    """Why the sender could not know that the receiver had it."""
    if earlier.mood is not Mood.WELL:
        return f"the receiver was {earlier.mood.value}"
    if any(begin - SLACK <= again.at and earlier.at <= end + SLACK for begin, end in harmed):
        return "the sender was harmed"
    return None


def verdicts_of(evidence: Evidence) -> list[SlaVerdictIssued]:
    """Each verdict of the log once, in its order."""
    found: dict[str, SlaVerdictIssued] = {}
    for records in evidence.logs["sla-verdict-issued"].values():
        for record in records:
            verdict = CODEC.decode(record.value or b"")
            assert isinstance(verdict, SlaVerdictIssued)
            found.setdefault(verdict.id, verdict)
    return list(found.values())
