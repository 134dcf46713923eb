"""Amazon Connect's own words and shapes: event types, initiation methods, endpoints, and what each means here.

Source: Amazon Connect administrator guide, "Contact events" and "Contact initiation methods", and its sample events.
The case of keys differs between samples (``agentInfo``, ``AgentInfo``, ``AgentARN``), so all keys are read in lower
case. Events come unordered, on a best-effort basis; what is not listed becomes ``interaction.unmapped``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

TOKEN_HEADER = "x-hub-token"
# An API destination repeats 4xx as well as 5xx for 24 hours, so a body that will never parse is answered with 200.
UNREADABLE_STATUS = 200
# "1970-01-01T00:00:00.001Z" stands for "not set".
NOT_SET = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Medium(NamedTuple):
    """A channel of Amazon Connect: our channel, the family of words, and the words of its event types."""

    channel: str
    words: dict[str, str]


CALLS = {
    "INITIATED": "call.offered",
    "QUEUED": "call.queued",
    "CONNECTED_TO_AGENT": "call.answered",
    "DISCONNECTED": "call.ended",
    "COMPLETED": "call.wrapped_up",
    "transferred": "call.transferred",
    "abandoned": "call.abandoned",
}
CHATS = {
    "INITIATED": "chat.started",
    "QUEUED": "chat.queued",
    "CONNECTED_TO_AGENT": "chat.accepted",
    "DISCONNECTED": "chat.ended",
    "transferred": "chat.transferred",
    "abandoned": "chat.abandoned",
}
# The agent accepts first, then the customer is dialled; whether he took it shows when the contact ends.
CALLBACKS = {
    "INITIATED": "callback.requested",
    "CONNECTED_TO_AGENT": "callback.attempted",
    "DISCONNECTED": "call.ended",
    "COMPLETED": "call.wrapped_up",
    "reached": "callback.completed",
}
MEDIA = {
    "VOICE": Medium("voice", CALLS),
    "CHAT": Medium("chat", CHATS),
    "TASK": Medium("back_office", {"INITIATED": "task.created", "DISCONNECTED": "task.completed"}),
    "EMAIL": Medium("email", {}),  # the mail itself comes in through the mail door
}
TRANSFERS = frozenset({"TRANSFER", "QUEUE_TRANSFER"})
# Ways a contact begins that our side takes; every other is the customer's.
OUTBOUND = frozenset({"OUTBOUND", "EXTERNAL_OUTBOUND", "CALLBACK", "AGENT_REPLY"})
# A supervisor listening in is nothing between us and the customer.
INTERNAL = frozenset({"MONITOR"})
ENDPOINTS = {"TELEPHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "VOIP": "voip"}

# Where the instant of each event type stands.
INSTANTS = {
    "INITIATED": ("initiationtimestamp",),
    "CONNECTED_TO_SYSTEM": ("connectedtosystemtimestamp",),
    "QUEUED": ("enqueuetimestamp",),
    "CONNECTED_TO_AGENT": ("connectedtoagenttimestamp",),
    "DISCONNECTED": ("disconnecttimestamp",),
    "COMPLETED": ("aftercontactworkendtimestamp", "disconnecttimestamp"),
}


def _lower(name: str) -> str:
    return name.replace("_", "")


class AgentInfo(msgspec.Struct, rename=_lower):
    """``hold_duration`` in seconds."""

    agent_arn: str = ""
    connected_to_agent_timestamp: str | None = None
    after_contact_work_end_timestamp: str | None = None
    hold_duration: float | None = None
    customer_hold_duration: float | None = None


class QueueInfo(msgspec.Struct, rename=_lower):
    queue_arn: str = ""
    enqueue_timestamp: str | None = None


class Endpoint(msgspec.Struct, rename=_lower):
    type: str = ""
    address: str = ""


class Times(msgspec.Struct, rename=_lower):
    initiation_timestamp: str | None = None
    connected_to_system_timestamp: str | None = None
    disconnect_timestamp: str | None = None


class Detail(Times, rename=_lower):
    """A contact event. A transfer makes a new ``contact_id``; ``initial_contact_id`` stays the same through all."""

    event_type: str = ""
    contact_id: str | None = None
    initial_contact_id: str | None = None
    previous_contact_id: str | None = None
    channel: str = "VOICE"
    instance_arn: str | None = None
    initiation_method: str = ""
    disconnect_reason: str | None = None
    agent_info: AgentInfo | None = None
    queue_info: QueueInfo | None = None
    customer_endpoint: Endpoint | None = None


class Envelope(Times, rename=lambda name: {"detail_type": "detail-type"}.get(name, _lower(name))):
    """EventBridge's envelope. Some samples have the timestamps here, beside the detail."""

    id: str | None = None
    detail_type: str | None = None
    time: str | None = None
    detail: Detail | None = None


def word(detail: Detail) -> str | None:
    """The vocabulary's word for a contact event, or None when there is none."""
    event, method = detail.event_type.upper(), detail.initiation_method.upper()
    medium = MEDIA.get(detail.channel.upper())
    if medium is None or method in INTERNAL:
        return None
    words = medium.words
    if method == "CALLBACK" and words is CALLS:
        words = CALLBACKS
    if event == "INITIATED" and method in TRANSFERS:
        return words.get("transferred")
    wrapped_up = detail.agent_info.after_contact_work_end_timestamp if detail.agent_info else None
    if event == "COMPLETED" and instant(wrapped_up) is None:
        return None  # no work after the contact: only repeats what DISCONNECTED said
    if event == "DISCONNECTED":
        if detail.queue_info is not None and detail.agent_info is None and method not in OUTBOUND:
            return words.get("abandoned", words.get(event))
        if detail.agent_info is not None and instant(detail.connected_to_system_timestamp) is not None:
            return words.get("reached", words.get(event))
    return words.get(event)


def instant(text: str | None) -> int | None:
    """Microseconds since 1970 of an RFC 3339 instant; None for what is missing, "not set" or unreadable."""
    try:
        moment = msgspec.convert(text, datetime, strict=False) if text else None
    except msgspec.ValidationError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return micros if micros > NOT_SET else None


def last(arn: str) -> str:
    """The last part of an ARN: the id of an agent, queue or contact."""
    return arn.rpartition("/")[2]
