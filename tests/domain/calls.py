"""Calls as their adapters tell them, as timeline entries: what figures are measured from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from adapters.amazon_connect.receive import AmazonConnect
from adapters.contract import Account, Delivery
from runtime.blobs import FolderBlobs
from schemas.records import Actor, CallFacts, InteractionReceived, TimelineEntryAdded
from tests.adapters.asterisk_ami.ami_fakes import NOW, SECOND, read

CUSTOMER = str(uuid.uuid5(uuid.NAMESPACE_OID, "caller"))
INSTANCE = "arn:aws:connect:eu-central-1:111122223333:instance/i-1"
CONNECT = Account(tenant="default", name="prod", secret="token", organisation="vendor-a", team="first line")


def entries_of(events: Iterable[InteractionReceived], about: str | None = None) -> list[TimelineEntryAdded]:
    """The entries that events become."""
    return [
        TimelineEntryAdded(
            id=event.id,
            event=event.id,
            tenant=event.tenant,
            customer=CUSTOMER,
            sequence=number,
            type=event.type,
            channel=event.channel,
            direction=event.direction,
            occurred_at=event.occurred_at,
            received_at=max(event.received_at, event.occurred_at),
            conversation=event.conversation,
            source=event.source,
            actor=event.actor,
            call=event.facts if isinstance(event.facts, CallFacts) else None,
            about=about,
        )
        for number, event in enumerate(events, 1)
    ]


def asterisk(blocks: Sequence[bytes]) -> list[TimelineEntryAdded]:
    """What Asterisk's manager interface told."""
    return entries_of(read(*blocks, received_at=NOW + 3600 * SECOND))


def stamp(at: int) -> str:
    """An instant as Amazon Connect writes it."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def connect(folder: Path, *events: tuple[str, dict[str, object]]) -> list[TimelineEntryAdded]:
    """What contact events of Amazon Connect tell, each (event type, detail)."""
    found: list[InteractionReceived] = []
    for number, (event_type, detail) in enumerate(events):
        told = {"channel": "VOICE", "eventType": event_type, "initiationMethod": "INBOUND", **detail}
        body = {"id": f"e-{number}", "detail-type": "Amazon Connect Contact Event", "detail": told}
        delivery = Delivery(body=json.dumps(body).encode(), received_at=NOW + 3600 * SECOND)
        found += AmazonConnect().read(delivery, CONNECT, FolderBlobs(folder))
    return entries_of(found)


def queue(name: str, at: int) -> dict[str, object]:
    """A queue's part of a detail."""
    return {"queueInfo": {"queueArn": f"{INSTANCE}/queue/{name}", "enqueueTimestamp": stamp(at)}}


def agent(name: str, at: int, done: int | None = None, held: float | None = None) -> dict[str, object]:
    """An agent's part of a detail; ``done``: when the work after the contact ended, ``held`` in seconds."""
    told: dict[str, object] = {"agentArn": f"{INSTANCE}/agent/{name}", "connectedToAgentTimestamp": stamp(at)}
    if done is not None:
        told["afterContactWorkEndTimestamp"] = stamp(done)
    if held is not None:
        told["customerHoldDuration"] = held
    return {"agentInfo": told}


def told(kind: str, at: int, *, who: Actor | None = None, **facts: object) -> TimelineEntryAdded:
    """A plain entry of a call, seconds after ``NOW``; the facts of a call as they are named."""
    known = msgspec.convert({"kind": "call", **facts}, CallFacts) if facts else None
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{at}/{facts.get('leg')}"))
    return TimelineEntryAdded(
        id=name,
        event=name,
        tenant="default",
        customer=CUSTOMER,
        sequence=1,
        type=kind,
        channel="voice",
        direction="inbound",
        occurred_at=NOW + at * SECOND,
        received_at=NOW + at * SECOND,
        conversation="call-1",
        source="cloudevents/pbx",
        actor=who,
        call=known,
    )
