"""What an operator does by command: topics, and policies put on the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from rich.console import Console

from adapters.contract import event_id
from domain.errors import HubError, PolicyInvalid, Reason
from hub.processes import publisher_for
from runtime.clock import clock_for
from runtime.settings import Settings
from runtime.topics_admin import Change, Kind, apply, diff
from schemas.records import Configuration, InteractionReceived
from schemas.topics import topics
from schemas.vocabulary import CONFIGURATION
from streams.configuration import canonical_configuration


async def topics_diff(settings: Settings, out: Console) -> int:
    """Print what differs. Returns 1 if anything does."""
    changes = await diff(settings.kafka, topics(), settings.topic_prefix, settings.partitions, settings.replication)
    return _show(changes, out, "the topics are as they should be")


async def topics_apply(settings: Settings, out: Console) -> int:
    """Create and configure; print what was done. Returns 1 if something had to be refused."""
    changes = await apply(settings.kafka, topics(), settings.topic_prefix, settings.partitions, settings.replication)
    _show(changes, out, "nothing to do")
    return int(any(change.kind is Kind.REFUSED for change in changes))


def _show(changes: list[Change], out: Console, nothing: str) -> int:
    for change in changes:
        out.print(str(change), highlight=False)
    if not changes:
        out.print(nothing)
    return int(bool(changes))


def configuration_event(text: str, tenant: str, at: int) -> InteractionReceived:
    """The event that brings a bundle into force. Its id comes from its text: the same bundle twice is one."""
    return InteractionReceived(
        id=event_id(tenant, "hub/policy", f"{at}\x1f{text}", CONFIGURATION),
        type=CONFIGURATION,
        tenant=tenant,
        source="hub/policy",
        channel="internal",
        direction="internal",
        occurred_at=at,
        received_at=at,
        conversation=f"configuration:{tenant}",
        facts=Configuration("default", text),
    )


async def policy_apply(settings: Settings, file: Path, tenant: str, out: Console, err: Console) -> int:
    """Check a bundle and publish it. Returns 2 when it can't be used, with the place of what is wrong."""
    clock = clock_for(settings.clock_file)
    try:
        text = await asyncio.to_thread(file.read_text, encoding="utf-8")
        event = configuration_event(text, tenant or settings.tenant, clock.now())
        body = canonical_configuration(event)
    except OSError as error:
        raise PolicyInvalid(Reason.BAD_VALUE, f"can't be read: {error.strerror}", str(file)) from error
    except HubError as error:
        err.print(f"{file}: {error}", highlight=False, soft_wrap=True)
        return 2
    async with publisher_for(settings, clock) as publisher:
        await publisher.publish([event])
    count = len(msgspec.json.decode(body).get("policies", []))
    out.print(f"{file.name}: {count} policies are on the log as event {event.id}", highlight=False)
    return 0
