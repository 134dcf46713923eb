"""WhatsApp's own words and shapes: the parts of a webhook that the hub reads, and what each means here.

Source: Meta's webhook reference of the WhatsApp Business Platform, and payloads of the real API. What is not listed
becomes ``interaction.unmapped``. Deliveries come in batches, at least once, for up to 7 days, statuses out of order.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from adapters.phones import e164, in_use
from schemas.vocabulary import UNMAPPED

SIGNATURE_HEADER = "x-hub-signature-256"
# Meta repeats whatever is not answered with 200 for 7 days, so a body that will never parse is answered with 200, too.
UNREADABLE_STATUS = 200

# What a message's own type says; every other type is something the customer wrote.
MESSAGE_TYPES = {
    "reaction": "social.reacted",
    "revoke": "message.deleted",
    "edit": "message.edited",
    "request_welcome": "chat.started",
    "system": UNMAPPED,
}
SYSTEM_TYPES = {"user_changed_number": "customer.linked"}
# An answer to "may we call you?" is a consent, not a question to us.
CONSENTS = frozenset({"call_permission_reply"})
# Statuses of a call that our side placed, in which it is the customer's phone that rings and is taken up.
CALL_STATUSES = {"RINGING": "call.ringing", "ACCEPTED": "call.answered", "REJECTED": "call.ended"}
MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})

# Numbers WhatsApp still writes the old way. The rewritten number is taken only if it is in use and the given one isn't.
OLD_NUMBERS = (
    (re.compile(r"521(\d{10})"), r"52\1"),  # Mexico dropped the 1 of mobile numbers in 2019
    (re.compile(r"55(\d\d)([6-9]\d{7})"), r"55\g<1>9\2"),  # Brazil put a 9 before mobile numbers until 2016
)

Stamp = str | int | None


class Contact(msgspec.Struct):
    """``user_id``: the business-scoped id (BSUID), always there where the phone number may be hidden."""

    wa_id: str | None = None
    user_id: str | None = None


class Metadata(msgspec.Struct):
    """``phone_number_id``: which of our numbers it is about."""

    phone_number_id: str = ""


class Value(msgspec.Struct):
    """The parts stay as they came until they are read one by one, so that one strange part spoils no other."""

    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    contacts: list[msgspec.Raw] = []
    errors: msgspec.Raw = msgspec.Raw(b"[]")
    messages: list[msgspec.Raw] = []
    message_echoes: list[msgspec.Raw] = []
    statuses: list[msgspec.Raw] = []
    calls: list[msgspec.Raw] = []
    user_preferences: list[msgspec.Raw] = []


class Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class Entry(msgspec.Struct):
    id: str | int
    changes: list[msgspec.Raw]
    time: Stamp = None


class Delivered(msgspec.Struct):
    object: Literal["whatsapp_business_account"]
    entry: list[Entry]


class Context(msgspec.Struct):
    id: str | None = None
    forwarded: bool = False
    frequently_forwarded: bool = False


class Referral(msgspec.Struct):
    """The advertisement a conversation began with."""

    source_id: str | None = None
    source_url: str | None = None
    headline: str | None = None


class Problem(msgspec.Struct):
    code: int | str = ""
    title: str = ""


class Message(msgspec.Struct, rename={"from_": "from"}):
    """``from_``/``to`` are digits without ``+``, and may be missing when the customer hides the number."""

    id: str
    type: str
    timestamp: Stamp = None
    from_: str | None = None
    from_user_id: str | None = None
    to: str | None = None
    to_user_id: str | None = None
    group_id: str | None = None
    context: Context | None = None
    referral: Referral | None = None
    errors: list[Problem] = []


class Status(msgspec.Struct):
    id: str
    status: str
    type: str | None = None
    timestamp: Stamp = None
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    recipient_type: str | None = None
    recipient_participant_id: str | None = None
    recipient_participant_user_id: str | None = None
    biz_opaque_callback_data: str | None = None
    errors: list[Problem] = []


class Call(msgspec.Struct, rename={"from_": "from"}):
    """``duration`` in seconds, present only if the call was picked up."""

    id: str
    event: str
    direction: str = ""
    timestamp: Stamp = None
    from_: str | None = None
    from_user_id: str | None = None
    to: str | None = None
    to_user_id: str | None = None
    status: str | list[str] | None = None
    duration: int | None = None


class Preference(msgspec.Struct):
    wa_id: str | None = None
    user_id: str | None = None
    timestamp: Stamp = None


def call_type(call: Call) -> str:
    """The vocabulary's word for a call's event."""
    if call.event == "connect":
        return "call.offered"
    if call.event != "terminate":
        return UNMAPPED
    unanswered = not call.duration
    return "call.abandoned" if unanswered and call.direction == "USER_INITIATED" else "call.ended"


def phone(wa_id: str | None) -> str | None:
    """The E.164 number of a WhatsApp number, or None for what is no number (an id, a group)."""
    digits = (wa_id or "").lstrip("+")
    if not (digits.isascii() and digits.isdigit()):
        return None
    given = e164(f"+{digits}")
    if given is None or not in_use(given):
        for pattern, replacement in OLD_NUMBERS:
            if match := pattern.fullmatch(digits):
                today = e164("+" + match.expand(replacement))
                if today is not None and in_use(today):
                    return today
    return given
