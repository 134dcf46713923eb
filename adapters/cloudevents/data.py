"""The shape of an event as third parties send it in a CloudEvent's ``data``, and how its faults are told.

It is ``InteractionReceived`` with most fields optional: what the CloudEvent's attributes or the account say need not
be said twice. Instants are RFC 3339 text with a zone, or integer microseconds since 1970.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from adapters.phones import e164
from schemas.records import Actor, Attachment, ContactPoint, Facts, Raw

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one event: ``index`` in the batch, ``pointer`` (RFC 6901) into the body, what to do."""

    index: int
    pointer: str
    detail: str


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """The data of an event whose type the hub knows. A field that is unknown is most likely misspelt: refused."""

    channel: str
    direction: str
    contact_points: list[ContactPoint] = []
    id: str | None = None
    type: str | None = None
    tenant: str | None = None
    source: str | None = None
    occurred_at: str | int | None = None
    received_at: str | int | None = None
    conversation: str | None = None
    sequence: int | None = None
    actor: Actor | None = None
    subject: str | None = None
    text: str | None = None
    language: str | None = None
    attachments: list[Attachment] = []
    facts: Facts | None = None
    attributes: dict[str, str] = {}
    raw: Raw | None = None


class Unknown(msgspec.Struct):
    """The data of an event whose type the hub has no word for: as much as says whose it is. The rest stays in raw."""

    channel: str = "internal"
    direction: str = "inbound"
    contact_points: list[ContactPoint] = []
    id: str | None = None
    occurred_at: str | int | None = None
    conversation: str | None = None
    subject: str | None = None
    text: str | None = None


def micros(value: object) -> int:
    """Microseconds since 1970 of an instant as given. Raises ``ValueError`` that says what an instant looks like."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = msgspec.convert(value, datetime, strict=False) if isinstance(value, str) else None
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("an instant is RFC 3339 text with a zone, as 2026-03-01T09:30:00Z, or integer microseconds")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def normalised(point: ContactPoint, region: str | None) -> ContactPoint:
    """The contact point as all adapters write it. Raises ``ValueError`` for a value that can't be one of its kind."""
    value = point.value.strip()
    if not value or not point.kind:
        raise ValueError("a contact point needs a kind and a value")
    if point.kind == "phone":
        number = e164(value, region)
        if number is None:
            raise ValueError("a phone number is + and digits with the country code, as +49 30 901820")
        value = number
    elif point.kind == "email":
        local, at, domain = value.rpartition("@")
        if not (local and at and domain) or any(character.isspace() for character in value):
            raise ValueError("a mail address is name@domain")
        value = f"{local}@{domain}".lower()
    return msgspec.structs.replace(point, value=value, as_given=point.as_given or point.value)


def told(error: msgspec.ValidationError, inside: str) -> tuple[str, str]:
    """Pointer and sentence of a validation error, for data that lies at the pointer ``inside``."""
    match = _PLACE.match(str(error))
    assert match is not None  # the pattern matches any text
    steps = [name or number for name, number in _STEP.findall(match["path"] or "")]
    return inside + "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps), match["what"]
