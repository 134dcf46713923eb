"""Builds events and bundles for the casework tests: an instant is given as minutes after a Monday, 09:00 in Berlin."""

from __future__ import annotations

import uuid

import msgspec

from domain.policies import Bundle
from domain.policy_reading import read_bundle
from schemas.records import Actor, ContactPoint, Facts, InteractionReceived, MessageFacts, TicketCommand

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_767_600_000_000_000  # Monday 2026-01-05 08:00 UTC
SPACE = uuid.UUID("00000000-0000-5000-8000-000000000001")

AROUND_THE_CLOCK = {
    "name": "test",
    "calendars": {
        "always": {
            "tz": "Etc/UTC",
            "hours": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
        },
        "office": {
            "tz": "Europe/Berlin",
            "hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        },
    },
    "policies": [
        {
            "name": "standard",
            "calendar": "always",
            "targets": {"first_response": "1h", "resolution": {"normal": "8h", "urgent": "2h"}},
        }
    ],
    "routes": [{"match": {"channel": "email"}, "assign": {"team": "first-line", "organisation": "vendor-a"}}],
}


def bundle(version: int = 1, document: object = None) -> Bundle:
    """A checked bundle; by default one policy that holds around the clock."""
    return read_bundle(AROUND_THE_CLOCK if document is None else document, version)


def event(
    name: str,
    event_type: str,
    minutes: float,
    *,
    received: float | None = None,
    channel: str = "email",
    conversation: str = "email:thread-1",
    actor: Actor | None = None,
    facts: Facts | None = None,
    text: str | None = None,
    points: list[ContactPoint] | None = None,
) -> InteractionReceived:
    """An event ``minutes`` after the start; ``received`` (minutes too) when it arrived later than it happened."""
    outbound = event_type.endswith(".sent")
    at = START + round(minutes * MINUTE)
    return InteractionReceived(
        id=str(uuid.uuid5(SPACE, name)),
        type=event_type,
        tenant="t",
        source="email/main",
        channel=channel,
        direction="outbound" if outbound else "inbound",
        occurred_at=at,
        received_at=at if received is None else START + round(received * MINUTE),
        conversation=conversation,
        contact_points=points or [ContactPoint("email", "customer@example.com", verified=True)],
        actor=actor or Actor("agent" if outbound else "customer"),
        subject="Where is my order?",
        text=text or name,
        facts=facts,
    )


def command(name: str, event_type: str, minutes: float, ticket: str, **fields: object) -> InteractionReceived:
    """A command on a ticket, as an agent gives it; an empty ``ticket`` names none."""
    facts = msgspec.convert({"kind": "ticket", "ticket": ticket or None, **fields}, TicketCommand)
    conversation = f"ticket:{ticket or name}"
    made = event(name, event_type, minutes, channel="internal", conversation=conversation, facts=facts)
    agent = Actor("agent", id="agent-1", team="second-line", organisation="own")
    return msgspec.structs.replace(made, direction="internal", actor=agent)


def late(made: InteractionReceived, received: float) -> InteractionReceived:
    """The same, received only so many minutes after the start."""
    return msgspec.structs.replace(made, received_at=START + round(received * MINUTE))


def bot(reason: str = "greeting") -> MessageFacts:
    """What marks a message that no person wrote."""
    return MessageFacts(automatic=reason)
