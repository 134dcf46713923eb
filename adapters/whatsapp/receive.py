"""Reads WhatsApp Cloud API webhooks: signature over the raw bytes, batches, messages, statuses, echoes, calls.

The account's ``secret`` is the app secret that Meta signs with, ``verify_token`` the word agreed on for the challenge.
Each event keeps the part it came from, wrapped as a delivery of its own: reading that again gives the same event.
Media stay at Meta under their id; fetching them is not done here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.raw import keep
from adapters.whatsapp import content, vendor
from adapters.whatsapp.party import Party, party, points
from adapters.whatsapp.vendor import Message
from domain.errors import Reason, SignatureRejected, Unreadable
from schemas.records import Actor, CallFacts, ContactPoint, Facts, InteractionReceived, MessageFacts
from schemas.vocabulary import UNMAPPED

SECOND = 1_000_000
S = TypeVar("S")


class _Scene(NamedTuple):
    """Where a change was found: what its events need besides the part each is made of."""

    account: Account
    blobs: BlobStore
    received_at: int
    entry: vendor.Entry
    raw: msgspec.Raw
    field: str
    value: vendor.Value


class _Told(NamedTuple):
    """What a part tells: an event, without what all events of the scene share. ``key``: its native key."""

    key: str
    type: str
    party: Party
    conversation: str
    direction: str
    actor: str
    stamp: vendor.Stamp = None
    channel: str = "chat"
    points: list[ContactPoint] | None = None
    says: content.Content | None = None
    attributes: dict[str, str] | None = None
    facts: Facts | None = None


class WhatsApp:
    """The adapter. ``unreadable_status`` is the HTTP status that stops Meta's retries of what can't be read."""

    name = "whatsapp"
    unreadable_status = vendor.UNREADABLE_STATUS

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Compare HMAC-SHA256 of the raw body under the app secret with ``X-Hub-Signature-256``, in constant time."""
        given = delivery.headers.get(vendor.SIGNATURE_HEADER, "")
        expected = "sha256=" + hmac.new(account.secret.encode(), delivery.body, hashlib.sha256).hexdigest()
        if not account.secret or not hmac.compare_digest(given.encode(), expected.encode()):
            raise SignatureRejected(
                Reason.BAD_SIGNATURE,
                "the body is not signed with this account's secret; check that it is the app secret",
                "X-Hub-Signature-256",
            )

    def challenge(self, delivery: Delivery, account: Account) -> str | None:
        """The text to answer Meta's subscription check with. Raises ``SignatureRejected`` for a wrong verify token."""
        token = delivery.query.get("hub.verify_token", "")
        if not account.verify_token or not hmac.compare_digest(token.encode(), account.verify_token.encode()):
            raise SignatureRejected(Reason.BAD_SIGNATURE, "the verify token is not this account's", "hub.verify_token")
        return delivery.query.get("hub.challenge", "")

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """The events of a delivery, each once, in the order of the delivery."""
        try:
            delivered = msgspec.json.decode(delivery.body, type=vendor.Delivered)
        except msgspec.ValidationError as error:
            raise Unreadable(Reason.NOT_VALID, f"not a WhatsApp webhook: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(Reason.NOT_JSON, f"the body is not JSON: {error}") from error
        events: dict[str, InteractionReceived] = {}
        for entry in delivered.entry:
            for raw in entry.changes:
                change = _shaped(raw, vendor.Change) or vendor.Change(field="change", value=raw)
                value = _shaped(change.value, vendor.Value) or vendor.Value()
                scene = _Scene(account, blobs, delivery.received_at, entry, raw, change.field, value)
                for event in _events(scene):
                    events.setdefault(event.id, event)
        return list(events.values())


def _events(scene: _Scene) -> Iterator[InteractionReceived]:
    """The events of one change: one per part of the lists that the hub knows, else one for the change itself."""
    found = False
    for name, tell in _PARTS.items():
        for part in getattr(scene.value, name):
            found = True
            yield _event(scene, tell(scene, part) or _unmapped(scene, part, name), name, part)
    if not found:
        yield _event(scene, _unmapped(scene, scene.raw, scene.field), "", scene.raw)


def _message(scene: _Scene, part: msgspec.Raw) -> _Told | None:
    message = _shaped(part, Message)
    if message is None:
        return None
    return _said(part, message, party(scene.value.contacts, message.from_, message.from_user_id), inbound=True)


def _echo(scene: _Scene, part: msgspec.Raw) -> _Told | None:
    message = _shaped(part, Message)
    if message is None:
        return None
    return _said(part, message, party(scene.value.contacts, message.to, message.to_user_id), inbound=False)


def _said(part: msgspec.Raw, message: Message, who: Party, *, inbound: bool) -> _Told:
    """A message from either side, or what one of them did to a message."""
    says = content.read(message.type, msgspec.json.decode(part, type=dict[str, msgspec.Raw]))
    attributes = says.attributes | _circumstances(message)
    event_type = vendor.MESSAGE_TYPES.get(message.type, "message.received" if inbound else "message.sent")
    also: list[ContactPoint] = []
    if message.type == "system":
        event_type = vendor.SYSTEM_TYPES.get(attributes.get("system", ""), UNMAPPED)
        also = points(attributes.pop("new_number", None), None)
    if attributes.get("interactive") in vendor.CONSENTS:
        event_type = UNMAPPED
    if event_type == UNMAPPED:
        attributes["type_as_given"] = message.type
    changes_another = event_type in ("message.deleted", "message.edited")
    replied_to = message.context.id if message.context else None
    return _Told(
        key=message.id,
        type=event_type,
        party=who,
        conversation=message.group_id or who.key,
        direction="inbound" if inbound else "outbound",
        actor="customer" if inbound else "agent",
        stamp=message.timestamp,
        points=who.points + also,
        says=says,
        attributes=attributes,
        facts=MessageFacts(
            message_id=says.concerns if changes_another else message.id,
            in_reply_to=None if changes_another else says.concerns or replied_to,
            content=message.type,
        ),
    )


def _circumstances(message: Message) -> dict[str, str]:
    """What else is known of a message: forwarded, came from an advertisement, can't be shown."""
    found: dict[str, str] = {}
    if message.context is not None and (message.context.forwarded or message.context.frequently_forwarded):
        found["forwarded"] = "often" if message.context.frequently_forwarded else "once"
    if message.referral is not None:
        referral = message.referral
        named = {"campaign": referral.source_id, "campaign_url": referral.source_url, "headline": referral.headline}
        found |= {name: value for name, value in named.items() if value}
    return found | _problem(message.errors)


def _problem(errors: list[vendor.Problem]) -> dict[str, str]:
    return {"error_code": str(errors[0].code), "error": errors[0].title} if errors else {}


def _status(scene: _Scene, part: msgspec.Raw) -> _Told | None:
    status = _shaped(part, vendor.Status)
    if status is None:
        return None
    group = status.recipient_id if status.recipient_type == "group" else None
    number = status.recipient_participant_id if group else status.recipient_id
    who = party(scene.value.contacts, number, status.recipient_participant_user_id or status.recipient_user_id)
    called = status.type == "call"
    event_type = vendor.CALL_STATUSES.get(status.status, UNMAPPED) if called else "message.status_changed"
    attributes = _problem(status.errors)
    if status.biz_opaque_callback_data:
        attributes["tracker"] = status.biz_opaque_callback_data
    if event_type == UNMAPPED:
        attributes["type_as_given"] = f"{status.type} {status.status}"
    cause = status.status if event_type == "call.ended" else None
    return _Told(
        # in a group each member has a status of his own
        key=f"{status.id}:{status.status}" + (f":{who.key}" if group else ""),
        type=event_type,
        party=who,
        conversation=f"call:{status.id}" if called else group or who.key,
        direction="outbound",
        actor="system",
        stamp=status.timestamp,
        channel="voice" if called else "chat",
        attributes=attributes,
        facts=CallFacts(leg=status.id, cause=cause)
        if called
        else MessageFacts(message_id=status.id, status=status.status),
    )


def _call(scene: _Scene, part: msgspec.Raw) -> _Told | None:
    call = _shaped(part, vendor.Call)
    if call is None:
        return None
    ours = call.direction == "BUSINESS_INITIATED"
    number, user_id = (call.to, call.to_user_id) if ours else (call.from_, call.from_user_id)
    event_type = vendor.call_type(call)
    cause = call.status if isinstance(call.status, str) else ", ".join(call.status or []) or None
    placed_by = "agent" if ours else "customer"
    return _Told(
        key=f"{call.id}:{call.event}",
        type=event_type,
        party=party(scene.value.contacts, number, user_id),
        conversation=f"call:{call.id}",
        direction="outbound" if ours else "inbound",
        actor=placed_by if event_type == "call.offered" else "system",
        stamp=call.timestamp,
        channel="voice",
        attributes={"type_as_given": call.event} if event_type == UNMAPPED else {},
        facts=CallFacts(leg=call.id, talked=call.duration * SECOND if call.duration else None, cause=cause),
    )


def _preference(scene: _Scene, part: msgspec.Raw) -> _Told | None:
    preference = _shaped(part, vendor.Preference)
    if preference is None:
        return None
    who = party(scene.value.contacts, preference.wa_id, preference.user_id)
    return _Told(
        key=_digest(part),
        type=UNMAPPED,
        party=who,
        conversation=who.key,
        direction="inbound",
        actor="customer",
        stamp=preference.timestamp,
        attributes={"type_as_given": scene.field},
    )


_PARTS: dict[str, Callable[[_Scene, msgspec.Raw], _Told | None]] = {
    "messages": _message,
    "message_echoes": _echo,
    "statuses": _status,
    "calls": _call,
    "user_preferences": _preference,
}


def _unmapped(scene: _Scene, part: msgspec.Raw, what: str) -> _Told:
    """A part that the hub has no word for, or whose shape is new: news about the business account, mostly."""
    who = party(scene.value.contacts, None, None)
    about = ContactPoint(kind="whatsapp_account", value=str(scene.entry.id), role="other", verified=True)
    return _Told(
        key=f"{scene.entry.id}:{_seconds(scene.entry.time)}:{_digest(part)}",
        type=UNMAPPED,
        party=who,
        conversation=who.key or f"account:{scene.entry.id}",
        direction="inbound" if who.points else "internal",
        actor="system",
        points=[*who.points, about],
        attributes={"type_as_given": what},
    )


def _event(scene: _Scene, told: _Told, name: str, part: msgspec.Raw) -> InteractionReceived:
    account = scene.account
    source = f"{WhatsApp.name}/{account.name}"
    seconds = _seconds(told.stamp) or _seconds(scene.entry.time)
    number = _shaped(scene.value.metadata, vendor.Metadata) or vendor.Metadata()
    ours = told.actor == "agent"
    return InteractionReceived(
        id=event_id(account.tenant, source, told.key, told.type),
        type=told.type,
        tenant=account.tenant,
        source=source,
        channel=told.channel,
        direction=told.direction,
        occurred_at=seconds * SECOND if seconds else scene.received_at,
        received_at=scene.received_at,
        conversation=":".join(filter(None, (WhatsApp.name, number.phone_number_id, told.conversation))),
        contact_points=told.points if told.points is not None else told.party.points,
        actor=Actor(
            kind=told.actor,
            team=account.team if ours else None,
            organisation=account.organisation if ours else None,
        ),
        text=told.says.text if told.says else None,
        attachments=told.says.attachments if told.says else [],
        facts=told.facts,
        attributes=told.attributes or {},
        raw=keep(_wrapped(scene, told, name, part), "application/json", scene.blobs),
    )


def _wrapped(scene: _Scene, told: _Told, name: str, part: msgspec.Raw) -> bytes:
    """The part as a delivery of its own, with the contact that belongs to it and nobody else's."""
    change: object = part
    if name:
        value = {"metadata": scene.value.metadata, "errors": scene.value.errors, name: [part]}
        if told.party.contact is not None:
            value["contacts"] = [told.party.contact]
        change = {"field": scene.field, "value": value}
    entry = {"id": scene.entry.id, "time": scene.entry.time, "changes": [change]}
    return _canonical(msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]}))


def _shaped(raw: msgspec.Raw, shape: type[S]) -> S | None:
    """The part in its shape, or None when it has another."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.MsgspecError:
        return None


def _seconds(stamp: vendor.Stamp) -> int:
    """Unix seconds of a stamp, which is a number or its digits; 0 when there is none."""
    text = str(stamp or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _digest(part: msgspec.Raw) -> str:
    return hashlib.sha256(_canonical(part)).hexdigest()


def _canonical(json: bytes | msgspec.Raw) -> bytes:
    """JSON with sorted keys and without white space, so that equal parts are equal bytes."""
    return msgspec.json.encode(msgspec.json.decode(json), order="sorted")
