"""What casework publishes of a customer: entries, tickets as they are now, and verdicts, each with an id of its own.

Everything here is told, nothing is decided: ``domain.casework`` says when which of them is due.
"""

from __future__ import annotations

import hashlib
import uuid
from operator import attrgetter
from typing import Final

from domain.joining import Placement
from domain.sla import Judged, evidence
from domain.tickets import History, Moment, opening_of
from schemas.casework_state import AnnouncedClock, CustomerState, Fact, TicketState, fingerprint
from schemas.records import (
    CallFacts,
    Clock,
    InteractionReceived,
    SlaVerdictIssued,
    TicketChanged,
    TimelineEntryAdded,
)

NAMESPACE: Final = uuid.UUID("2f0c9d0e-4a43-5d0b-8a59-0c1e9c6b7d21")
LATE: Final = 3600 * 1_000_000
_IN_NAMESPACE: Final = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
#: Of a ticket, all but what each version of it differs in, and clocks, which also tell how time runs on.
_seen: Final = attrgetter(
    *(name for name in TicketChanged.__struct_fields__ if name not in ("version", "changed_at", "cause", "clocks"))
)

Output = TimelineEntryAdded | TicketChanged | SlaVerdictIssued


def derived_id(*parts: str) -> str:
    """The id of an output: uuid5 of what it is about, so that a repeated output has the same id."""
    return _uuid5("\x1f".join(parts))


def _uuid5(name: str) -> str:
    """``str(uuid.uuid5(NAMESPACE, name))`` (RFC 9562, section 5.5) at an eighth of its cost: one is made per output."""
    hashed = _IN_NAMESPACE.copy()
    hashed.update(name.encode())
    text = hashed.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def verdict_of(
    customer: str,
    state: CustomerState,
    ticket: TicketState,
    judged: Judged,
    clock: AnnouncedClock,
    outcome: str,
    threshold: int | None,
    episode: int,
    judged_at: int,
    cause: str,
) -> SlaVerdictIssued:
    """What is said of a clock now, with its evidence. ``threshold``: of a warning, as in its policy."""
    held = _held(judged)
    owner = held.attributes if held else None
    calendar = judged.bundle.calendars[judged.policy.calendar]
    late = outcome == "breached" and judged.breached_at is not None and judged_at - judged.breached_at > LATE
    return SlaVerdictIssued(
        id=derived_id(ticket.id, judged.metric, str(judged.cycle), outcome, str(clock.revision)),
        tenant=state.tenant,
        customer=customer,
        ticket=ticket.id,
        metric=judged.metric,
        cycle=judged.cycle,
        outcome=outcome,
        revision=clock.revision,
        episode=episode,
        target=judged.target,
        elapsed=judged.elapsed,
        started_at=judged.started_at,
        judged_at=judged_at,
        policy=judged.policy.name,
        policy_version=judged.bundle.version,
        calendar=judged.policy.calendar,
        calendar_digest=calendar.digest,
        boundary=judged.policy.boundary,
        cause=cause,
        due_at=judged.due_at,
        threshold=threshold,
        ended_at=judged.ended_at,
        priority=owner.priority if owner else None,
        channel=owner.channel if owner else None,
        subject=ticket.subject,
        team=owner.team if owner else None,
        organisation=owner.organisation if owner else None,
        quiet="found_late" if late else None,
        evidence=evidence(judged),
        person=held.person if held else None,
        queue=owner.queue if owner else None,
    )


def _held(judged: Judged) -> Moment | None:
    """Whose verdict it is: who owned the ticket when the target was used up, else who owned it last."""
    at = judged.breached_at
    if at is not None:
        for begin, end, _, moment, *_ in judged.pieces:
            if begin <= at <= end:
                return moment
    return judged.pieces[-1][3] if judged.pieces else None


def entry_of(
    customer: str, state: CustomerState, event: InteractionReceived, fact: Fact, placement: Placement
) -> TimelineEntryAdded:
    """The event as a line of its customer's history. One that says it is yet to come stands where it was received."""
    facts = event.facts
    return TimelineEntryAdded(
        id=derived_id(event.id, "entry"),
        event=event.id,
        tenant=event.tenant,
        customer=customer,
        sequence=state.sequence,
        type=event.type,
        channel=event.channel,
        direction=event.direction,
        occurred_at=fact.at,
        received_at=event.received_at,
        conversation=event.conversation,
        source=event.source,
        ticket=placement.ticket,
        joined_because=placement.because,
        actor=event.actor,
        contact_point=fact.contact_point or None,
        subject=event.subject,
        text=event.text,
        attachments=event.attachments,
        automatic=getattr(facts, "automatic", None),
        call=facts if isinstance(facts, CallFacts) else None,
        about=fact.about or None,
    )


def view_of(
    customer: str,
    state: CustomerState,
    ticket: TicketState,
    course: History,
    clocks: list[Clock],
    judged_at: int,
    cause: str,
) -> TicketChanged:
    """The ticket as its next version would be published. ``clocks``: of each metric the newest cycles
    (``announced.KEPT``), and older ones that are open; those before stand in their verdicts."""
    attributes = course.moments[-1].attributes
    now = course.standing
    opening = opening_of(ticket)
    return TicketChanged(
        id=ticket.id,
        tenant=state.tenant,
        customer=customer,
        version=ticket.version + 1,
        status=now.status,
        priority=now.priority,
        channel=opening.channel,
        opened_at=course.opened_at,
        changed_at=judged_at,
        cause=cause,
        subject=ticket.subject,
        queue=now.queue,
        team=now.team,
        organisation=now.organisation,
        person=now.person,
        conversations=list(course.conversations),
        resolved_at=course.resolved_at,
        closed_at=course.closed_at,
        reopened=course.reopened,
        interactions=course.interactions,
        follows=ticket.follows,
        tags=list(now.tags),
        clocks=clocks,
        level=now.level,
        about=attributes.about,
        ticket_type=(opening.command.ticket_type if opening.command else None) or "request",
        tier=attributes.tier,
        fields=dict(now.fields),
        links=list(now.links),
        merged_into=now.merged_into or None,
        merged=ticket.merged,
        accepted_at=now.accepted_at,
        handled_by=list(course.handled_by),
        concurrent_at=course.concurrent_at,
    )


def clock_of(judged: Judged, announced: AnnouncedClock) -> Clock:
    """A clock as it stands on its ticket."""
    return Clock(
        metric=judged.metric,
        cycle=judged.cycle,
        state=judged.state,
        policy=judged.policy.name,
        policy_version=judged.bundle.version,
        calendar=judged.policy.calendar,
        target=judged.target,
        elapsed=judged.elapsed,
        started_at=judged.started_at,
        due_at=judged.due_at,
        ended_at=judged.ended_at,
        breached_at=judged.breached_at,
        warned=announced.warned,
    )


def digest_of(view: TicketChanged) -> bytes:
    """What makes two views of a ticket the same; time that merely runs on does not count."""
    clocks = [
        (c.metric, c.cycle, c.state, c.policy_version, c.target, c.due_at, c.ended_at, c.warned) for c in view.clocks
    ]
    return fingerprint((_seen(view), clocks))
