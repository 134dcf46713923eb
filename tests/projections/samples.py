"""Records as casework publishes them, with what a test does not care about filled in."""

from __future__ import annotations

import uuid

import msgspec

from schemas.records import Actor, Clock, Interval, SlaVerdictIssued, TicketChanged, TimelineEntryAdded

NOON = 1_767_355_200_000_000  # 2026-01-02 12:00:00 UTC
MINUTE = 60_000_000


def uid(*parts: object) -> str:
    """An id that is always the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


CUSTOMER = uid("customer")
TICKET = uid("ticket")


def entry(sequence: int, **changes: object) -> TimelineEntryAdded:
    """The customer's entry of this sequence, a minute after the one before."""
    customer = str(changes.get("customer", CUSTOMER))
    plain = TimelineEntryAdded(
        id=uid("entry", customer, sequence),
        event=uid("event", customer, sequence),
        tenant="default",
        customer=customer,
        sequence=sequence,
        type="email.received",
        channel="email",
        direction="inbound",
        occurred_at=NOON + sequence * MINUTE,
        received_at=NOON + sequence * MINUTE + 250_000,
        conversation="<one@example.com>",
        source="email/support",
        ticket=TICKET,
        joined_because="opened",
        actor=Actor("customer"),
        contact_point="customer@example.com",
        subject="Where is my order?",
        text=f"Message {sequence}",
    )
    return msgspec.structs.replace(plain, **changes)


def clock(**changes: object) -> Clock:
    """A first response that runs, due an hour after noon."""
    plain = Clock(
        metric="first_response",
        cycle=1,
        state="running",
        policy="standard",
        policy_version=3,
        calendar="office",
        target=60 * MINUTE,
        elapsed=0,
        started_at=NOON,
        due_at=NOON + 60 * MINUTE,
    )
    return msgspec.structs.replace(plain, **changes)


def ticket(version: int = 1, **changes: object) -> TicketChanged:
    """The ticket in this version."""
    plain = TicketChanged(
        id=TICKET,
        tenant="default",
        customer=CUSTOMER,
        version=version,
        status="open",
        priority="normal",
        channel="email",
        opened_at=NOON,
        changed_at=NOON + version * MINUTE,
        cause=uid("event", CUSTOMER, version),
        subject="Where is my order?",
        team="support",
        organisation="vendor-a",
        conversations=["<one@example.com>"],
        interactions=version,
        tags=["delivery"],
        clocks=[clock()],
    )
    return msgspec.structs.replace(plain, **changes)


def verdict(revision: int = 1, **changes: object) -> SlaVerdictIssued:
    """A breach of the ticket's first response, an hour and a second after noon."""
    plain = SlaVerdictIssued(
        id=uid("verdict", revision),
        tenant="default",
        customer=CUSTOMER,
        ticket=TICKET,
        metric="first_response",
        cycle=1,
        outcome="breached",
        revision=revision,
        episode=1,
        target=60 * MINUTE,
        elapsed=60 * MINUTE + 1_000_000,
        started_at=NOON,
        judged_at=NOON + 60 * MINUTE + 1_000_000 + revision,
        policy="standard",
        policy_version=3,
        calendar="office",
        calendar_digest="d1",
        boundary="next_open",
        cause=uid("event", CUSTOMER, 1),
        due_at=NOON + 60 * MINUTE,
        team="support",
        organisation="vendor-a",
        evidence=[
            Interval(NOON, NOON + 40 * MINUTE, 40 * MINUTE, uid("a"), uid("b"), "open", "support", "vendor-a"),
            Interval(NOON + 40 * MINUTE, NOON + 60 * MINUTE + 1_000_000, 20 * MINUTE + 1_000_000, uid("b"), "time",
                     "open", "care", "own"),
        ],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)
