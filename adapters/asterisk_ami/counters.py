"""Asterisk's own counters of its queues, as a meter that the source reads off each quarter of an hour.

``QueueParams`` has, per queue and since Asterisk or the queue was last reloaded, the calls ``Completed`` (each with an
``AgentComplete``) and ``Abandoned`` (each with a ``QueueCallerAbandon``); apps/app_queue.c counts where it sends the
event. Only accounts with the option ``queue_counts`` have them read: calls of own people in a queue are counted by
Asterisk and give no events here.
"""

from __future__ import annotations

from adapters.asterisk_ami.protocol import Message
from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.raw import keep
from domain.source_counts import QUARTER, SOURCE, statement
from schemas.records import ContactPoint, InteractionReceived
from schemas.vocabulary import COUNTED

ACTION = "QueueStatus"
MEDIA_TYPE = "text/x-asterisk-ami"
_COUNTERS = {"Completed": "call.wrapped_up", "Abandoned": "call.abandoned"}
_SLACK = 60_000_000  # an answer that comes later than this after the quarter is none to our question


def wanted(account: Account) -> bool:
    """Whether the account's queues are counted: its option ``queue_counts`` is ``yes``."""
    return account.options.get("queue_counts", "no") == "yes"


def until_next(now: int) -> float:
    """Seconds until the next quarter of an hour."""
    return (QUARTER - now % QUARTER) / 1_000_000


def readings(message: Message, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
    """The counters in a ``QueueParams``; none in one that did not come just after a quarter of an hour."""
    queue, until = message.get("Queue"), delivery.received_at - delivery.received_at % QUARTER
    if not queue or not wanted(account) or delivery.received_at - until > _SLACK:
        return []
    source = f"asterisk-ami/{account.name}"
    found = []
    for field, counted in _COUNTERS.items():
        total = message.get(field)
        if not (total.isascii() and total.isdecimal()):
            continue
        found.append(
            InteractionReceived(
                id=event_id(account.tenant, source, f"{queue}/{counted}/{until}", COUNTED),
                type=COUNTED,
                tenant=account.tenant,
                source=source,
                channel="voice",
                direction="internal",
                occurred_at=until,
                received_at=delivery.received_at,
                conversation=f"asterisk:{account.name}:queue:{queue}",
                contact_points=[ContactPoint(SOURCE, source, role="other")],
                attributes=statement(counted, until, int(total), queue),
                raw=keep(message.raw, MEDIA_TYPE, blobs),
            )
        )
    return found
