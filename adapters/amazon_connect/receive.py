"""Reads Amazon Connect contact events: in EventBridge's envelope, as the bare detail, or a list of either.

The account's ``secret`` is the token that the API destination's connection sends, as ``x-hub-token`` or as a bearer
token. Events are best effort and unordered: each is placed by the timestamp inside that belongs to its type, and
recognised by the envelope's id. A contact without a customer's address is somebody under the contact's own id.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from adapters.amazon_connect import vendor
from adapters.amazon_connect.vendor import Detail, Envelope
from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.phones import e164
from adapters.raw import keep
from domain.errors import Reason, SignatureRejected, Unreadable
from schemas.records import Actor, CallFacts, ContactPoint, InteractionReceived
from schemas.vocabulary import UNMAPPED

SECOND = 1_000_000


class AmazonConnect:
    """The adapter. ``unreadable_status`` is the HTTP status that stops the retries of what can't be read."""

    name = "amazon-connect"
    unreadable_status = vendor.UNREADABLE_STATUS

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Compare the token of the connection with the account's secret, in constant time."""
        given = delivery.headers.get(vendor.TOKEN_HEADER)
        if given is None:
            scheme, _, token = delivery.headers.get("authorization", "").partition(" ")
            given = token.strip() if scheme.lower() == "bearer" else ""
        if not account.secret or not hmac.compare_digest(given.encode(), account.secret.encode()):
            raise SignatureRejected(
                Reason.BAD_SIGNATURE,
                "the token is not this account's secret; set it as API key of the API destination's connection",
                vendor.TOKEN_HEADER,
            )

    def challenge(self, delivery: Delivery, account: Account) -> str | None:
        """EventBridge asks no questions before it sends."""
        return None

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """One event per contact event; what is none, but names a contact, is unmapped."""
        try:
            tree = msgspec.json.decode(delivery.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(Reason.NOT_JSON, f"the body is not JSON: {error}") from error
        parts = tree if isinstance(tree, list) else [tree]
        events: dict[str, InteractionReceived] = {}
        for part in parts:
            event = _event(part, delivery.received_at, account, blobs)
            events.setdefault(event.id, event)
        return list(events.values())


def _event(part: object, received_at: int, account: Account, blobs: BlobStore) -> InteractionReceived:
    envelope, detail = _shaped(part)
    contact = detail.contact_id or ""
    first = detail.initial_contact_id or contact
    canonical = msgspec.json.encode(part, order="sorted")
    at = _instant(envelope, detail)
    key = envelope.id or ":".join((contact, detail.event_type, str(at or hashlib.sha256(canonical).hexdigest())))
    given = detail.event_type or envelope.detail_type or ""
    found = vendor.word(detail)
    event_type = found or UNMAPPED
    medium = vendor.MEDIA.get(detail.channel.upper())
    source = f"{AmazonConnect.name}/{account.name}"
    attributes = {
        "type_as_given": given if found is None else "",
        "initiation_method": detail.initiation_method,
        "previous_contact": detail.previous_contact_id or "",
        "instance": vendor.last(detail.instance_arn or ""),
    }
    return InteractionReceived(
        id=event_id(account.tenant, source, key, event_type),
        type=event_type,
        tenant=account.tenant,
        source=source,
        channel=medium.channel if medium else "voice",
        direction=_direction(detail.initiation_method.upper()),
        occurred_at=at or vendor.instant(envelope.time) or received_at,
        received_at=received_at,
        conversation=f"{AmazonConnect.name}:{first or key}",
        contact_points=_points(detail, first),
        actor=_actor(detail, event_type, account),
        facts=_facts(envelope, detail),
        attributes={name: value for name, value in attributes.items() if value},
        raw=keep(canonical, "application/json", blobs),
    )


def _shaped(part: object) -> tuple[Envelope, Detail]:
    """Envelope and detail, whatever the case of their keys. Raises ``Unreadable`` for what names no contact at all."""
    tree = _lowered(part)
    try:
        envelope = msgspec.convert(tree, Envelope)
        detail = envelope.detail or msgspec.convert(tree, Detail)
    except msgspec.ValidationError as error:
        raise Unreadable(Reason.NOT_VALID, f"not an Amazon Connect event: {error}") from error
    if not detail.contact_id and not envelope.detail_type:
        raise Unreadable(Reason.NOT_VALID, "not an Amazon Connect event: neither a contactId nor a detail-type")
    return envelope if envelope.detail else Envelope(), detail


def _lowered(tree: object) -> object:
    """The tree with all keys in lower case. Values stay as they are."""
    if isinstance(tree, dict):
        return {str(key).lower(): _lowered(value) for key, value in tree.items()}
    return [_lowered(value) for value in tree] if isinstance(tree, list) else tree


def _times(envelope: Envelope, detail: Detail) -> dict[str, int]:
    """Every timestamp that is set, by its name in lower case; the detail's own before the envelope's."""
    agent, queue = detail.agent_info, detail.queue_info
    given = {
        "initiationtimestamp": detail.initiation_timestamp or envelope.initiation_timestamp,
        "connectedtosystemtimestamp": detail.connected_to_system_timestamp or envelope.connected_to_system_timestamp,
        "disconnecttimestamp": detail.disconnect_timestamp or envelope.disconnect_timestamp,
        "enqueuetimestamp": queue.enqueue_timestamp if queue else None,
        "connectedtoagenttimestamp": agent.connected_to_agent_timestamp if agent else None,
        "aftercontactworkendtimestamp": agent.after_contact_work_end_timestamp if agent else None,
    }
    found = {name: vendor.instant(text) for name, text in given.items()}
    return {name: at for name, at in found.items() if at is not None}


def _instant(envelope: Envelope, detail: Detail) -> int | None:
    """When it happened, by the timestamp that belongs to the event's type."""
    times = _times(envelope, detail)
    names = vendor.INSTANTS.get(detail.event_type.upper(), ())
    return next((times[name] for name in names if name in times), None)


def _direction(method: str) -> str:
    if method in vendor.INTERNAL:
        return "internal"
    return "outbound" if method in vendor.OUTBOUND else "inbound"


def _points(detail: Detail, first: str) -> list[ContactPoint]:
    """The customer's address, and always the contact's own id: some events of a call carry the address, some don't, and
    all of them are of one customer. A caller's number is not verified: it can be made up by who calls.
    """
    found = []
    endpoint = detail.customer_endpoint
    kind = vendor.ENDPOINTS.get(endpoint.type.upper()) if endpoint is not None else None
    if endpoint is not None and kind is not None and endpoint.address:
        value = e164(endpoint.address) if kind == "phone" else endpoint.address.lower()
        if value is not None:
            found.append(ContactPoint(kind=kind, value=value, as_given=endpoint.address))
    if first:
        found.append(ContactPoint(kind="amazon_connect_contact", value=first, as_given=first, verified=True))
    return found


def _actor(detail: Detail, event_type: str, account: Account) -> Actor:
    """Who did it: the agent as soon as there is one, the customer who begins or gives up, else the system."""
    if detail.agent_info is not None and event_type != UNMAPPED:
        agent = vendor.last(detail.agent_info.agent_arn)
        return Actor(kind="agent", id=agent or None, team=account.team, organisation=account.organisation)
    begun = event_type in ("call.offered", "chat.started") and detail.initiation_method.upper() not in vendor.OUTBOUND
    if begun or event_type in ("call.abandoned", "chat.abandoned", "callback.requested"):
        return Actor(kind="customer")
    return Actor(kind="system")


def _facts(envelope: Envelope, detail: Detail) -> CallFacts:
    """Facts of the contact; a time span whose ends contradict each other is left out."""
    times = _times(envelope, detail)
    agent = detail.agent_info
    held = (agent.hold_duration or agent.customer_hold_duration) if agent else None
    queued, answered, ended = (
        times.get(name) for name in ("enqueuetimestamp", "connectedtoagenttimestamp", "disconnecttimestamp")
    )
    return CallFacts(
        leg=detail.contact_id,
        queue=(vendor.last(detail.queue_info.queue_arn) or None) if detail.queue_info else None,
        waited=_span(queued, answered or ended),
        talked=_span(answered, ended),
        held=round(held * SECOND) if held else None,
        cause=detail.disconnect_reason,
    )


def _span(begin: int | None, end: int | None) -> int | None:
    return end - begin if begin is not None and end is not None and end >= begin else None
