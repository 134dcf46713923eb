"""Reads CloudEvents 1.0 over HTTP: one (structured or binary mode) or a batch, with the hub's own event as ``data``.

The CloudEvent's type is a word of the vocabulary, ``hub.`` before it allowed; its source, id and time become the
event's; its subject is the conversation where ``data`` names none. An unknown type is kept as
``interaction.unmapped``. A batch is taken as a whole or not at all, and every fault in it is told.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from adapters.cloudevents.data import Fault, Given, Unknown, micros, normalised, told
from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.raw import keep
from domain.errors import DeliveryRefused, Reason, SignatureRejected, Unreadable
from domain.source_counts import SOURCE, CountInvalid, stated
from schemas.records import ContactPoint, InteractionReceived
from schemas.vocabulary import CHANNELS, CONFIGURATION, COUNTED, DIRECTIONS, TYPES, UNMAPPED

PREFIX = "hub."
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
DAY = 24 * 3600 * 1_000_000
_REQUIRED = ("specversion", "id", "source", "type")
_SOME_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class EventsRefused(DeliveryRefused):
    """One or more events of a delivery are at fault; none was stored. ``faults`` has them all."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(Reason.NOT_VALID, faults[0].detail, faults[0].pointer)
        self.faults = faults


class _Parcel(msgspec.Struct, frozen=True):
    """A CloudEvent on its way in: its attributes, its data, and where they stand in the body."""

    index: int
    at: str
    inside: str
    id: str
    source: str
    type: str
    subject: str | None
    time: int | None
    data: object
    original: bytes


class CloudEvents:
    """The adapter. The account's ``secret`` is the bearer token; its tenant is whose data comes in."""

    name = "cloudevents"
    unreadable_status = 400

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Compare the bearer token with the account's secret, in constant time."""
        scheme, _, token = delivery.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        if not account.secret or not hmac.compare_digest(given.encode(), account.secret.encode()):
            raise SignatureRejected(
                Reason.BAD_SIGNATURE, "the token is missing or wrong; send Authorization: Bearer …", "Authorization"
            )

    def challenge(self, delivery: Delivery, account: Account) -> str | None:
        """Nobody is asked before events are taken."""
        return None

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """The events, in their order. Raises ``EventsRefused`` with every fault, ``Unreadable`` for what is no JSON."""
        faults: list[Fault] = []
        events = []
        for parcel in _parcels(delivery, faults):
            event = _event(parcel, delivery.received_at, account, blobs, faults)
            if event is not None:
                events.append(event)
        if faults:
            raise EventsRefused(faults)
        return events


def _parcels(delivery: Delivery, faults: list[Fault]) -> Iterator[_Parcel]:
    """The CloudEvents of a delivery, in any of the three content modes. What is none becomes a fault."""
    media_type = delivery.media_type.partition(";")[0].strip().lower()
    try:
        tree = msgspec.json.decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(Reason.NOT_JSON, f"the body is not JSON: {error}") from error
    headers = {name[3:]: unquote(value) for name, value in delivery.headers.items() if name.startswith("ce-")}
    if headers and media_type not in (STRUCTURED, BATCH):
        parcel = _checked(0, "", "", {**headers, "data": tree}, faults)
        if parcel is not None:
            yield parcel
        return
    batch = isinstance(tree, list)
    if media_type in (STRUCTURED, BATCH) and batch != (media_type == BATCH):
        faults.append(Fault(0, "", f"{STRUCTURED} is one JSON object, {BATCH} an array of them"))
        return
    for index, item in enumerate(tree if isinstance(tree, list) else [tree]):
        at = f"/{index}" if batch else ""
        if not isinstance(item, dict):
            faults.append(Fault(index, at, "a CloudEvent is a JSON object"))
            continue
        parcel = _checked(index, at, f"{at}/data", {str(name): value for name, value in item.items()}, faults)
        if parcel is not None:
            yield parcel


def _checked(index: int, at: str, inside: str, given: dict[str, object], faults: list[Fault]) -> _Parcel | None:
    """A CloudEvent whose attributes are as the specification wants them; None, and faults, for another.

    The package would make up a missing id and time: such an event would be a new one with each attempt.
    """
    found = [Fault(index, f"{at}/{name}", f"a CloudEvent needs {name}") for name in _REQUIRED if not given.get(name)]
    original = msgspec.json.encode(given, order="sorted")
    attributes = {name: value for name, value in given.items() if value is not None}
    data = attributes.pop("data", None)
    time: int | None = None
    if "data_base64" in attributes:
        found.append(Fault(index, f"{at}/data_base64", "the data must be JSON: send it as data"))
    elif "time" in attributes:
        try:
            time = micros(attributes["time"])
        except ValueError as error:
            found.append(Fault(index, f"{at}/time", str(error)))
    if not found:
        try:
            event = CloudEvent({**attributes, "time": _SOME_TIME})
            return _Parcel(
                index=index,
                at=at,
                inside=inside,
                id=event.get_id(),
                source=event.get_source(),
                type=event.get_type(),
                subject=event.get_subject(),
                time=time,
                data=data,
                original=original,
            )
        except CloudEventValidationError as error:
            found = [
                Fault(index, f"{at}/{name}", "; ".join(dict.fromkeys(map(str, reasons))))
                for name, reasons in error.errors.items()
            ]
    faults.extend(found)
    return None


def _event(
    parcel: _Parcel, received_at: int, account: Account, blobs: BlobStore, faults: list[Fault]
) -> InteractionReceived | None:
    """The event of a CloudEvent; None, and faults, for one that can't be taken."""
    word = parcel.type.removeprefix(PREFIX)
    known = word in TYPES and word != UNMAPPED
    try:
        data = msgspec.convert(parcel.data, Given) if known else _unknown(parcel)
    except msgspec.ValidationError as error:
        pointer, what = told(error, parcel.inside)
        faults.append(Fault(parcel.index, pointer, what))
        return None
    check = _Check(parcel, [])
    event_type = word if known else UNMAPPED
    points = check.points(data.contact_points, account.region, needed=not _concerns_nobody(word))
    occurred_at = check.instant("occurred_at", data.occurred_at, parcel.time, received_at)
    check.one_of("channel", data.channel, CHANNELS)
    check.one_of("direction", data.direction, DIRECTIONS)
    id_ = check.uuid(data.id) or event_id(account.tenant, parcel.source, f"{parcel.id}\x1f{word}", event_type)
    conversation = data.conversation or parcel.subject or (f"{points[0].kind}:{points[0].value}" if points else word)
    if isinstance(data, Given):
        check.same("type", data.type, word)
        check.same("source", data.source, parcel.source)
        check.same("tenant", data.tenant, account.tenant)
    if check.found:
        faults.extend(check.found)
        return None
    event = InteractionReceived(
        id=id_,
        type=event_type,
        tenant=account.tenant,
        source=parcel.source,
        channel=data.channel,
        direction=data.direction,
        occurred_at=occurred_at,
        received_at=received_at,
        conversation=conversation,
        contact_points=points,
        subject=data.subject,
        text=data.text,
    )
    if isinstance(data, Unknown):
        return msgspec.structs.replace(
            event, attributes={"type_as_given": parcel.type}, raw=keep(parcel.original, STRUCTURED, blobs)
        )
    event = msgspec.structs.replace(
        event,
        sequence=data.sequence,
        actor=data.actor,
        language=data.language,
        attachments=data.attachments,
        facts=data.facts,
        attributes=data.attributes,
        raw=data.raw,
    )
    return event if event_type != COUNTED else _counted(event, check, faults)


def _counted(event: InteractionReceived, check: _Check, faults: list[Fault]) -> InteractionReceived | None:
    """A source's own count, which belongs to the history of the source itself; None, and a fault, for a wrong one."""
    try:
        said = stated(event)
    except CountInvalid as error:
        check.fault(f"attributes/{error.where}", error.detail)
        faults.extend(check.found)
        return None
    if event.contact_points:
        return event
    return msgspec.structs.replace(event, contact_points=[ContactPoint(SOURCE, said.source, role="other")])


def _unknown(parcel: _Parcel) -> Unknown:
    return msgspec.convert(parcel.data if isinstance(parcel.data, dict) else {}, Unknown)


def _concerns_nobody(word: str) -> bool:
    """Whether events of this type are about no customer: agents coming and going, policies, calendars, counts."""
    return word in (CONFIGURATION, COUNTED) or word.startswith("agent.")


class _Check(NamedTuple):
    """Looks at the values of one event's data, and notes what is wrong in ``found``."""

    parcel: _Parcel
    found: list[Fault]

    def fault(self, field: str, detail: str) -> None:
        self.found.append(Fault(self.parcel.index, f"{self.parcel.inside}/{field}", detail))

    def points(self, given: list[ContactPoint], region: str | None, *, needed: bool) -> list[ContactPoint]:
        if needed and not given:
            self.fault("contact_points", "say whose event this is: at least one contact point, as phone, email or hub")
        points = []
        for index, point in enumerate(given):
            try:
                points.append(normalised(point, region))
            except ValueError as error:
                self.fault(f"contact_points/{index}/value", str(error))
        return points

    def instant(self, field: str, given: str | int | None, time: int | None, now: int) -> int:
        """The instant given in the data, else the CloudEvent's time, else now; none more than a day ahead."""
        try:
            at = micros(given) if given is not None else time if time is not None else now
        except ValueError as error:
            self.fault(field, str(error))
            return now
        if at > now + DAY or at < 0:
            what = "lies more than a day ahead" if at > 0 else "lies before 1970"
            detail = f"the instant {what}; is the sender's clock right, and are integers microseconds?"
            if given is not None:
                self.fault(field, detail)
            else:
                self.found.append(Fault(self.parcel.index, f"{self.parcel.at}/time", detail))
        return at

    def one_of(self, field: str, given: str, allowed: frozenset[str]) -> None:
        if given not in allowed:
            self.fault(field, f"{given!r} is none of {', '.join(sorted(allowed))}")

    def uuid(self, given: str | None) -> str | None:
        try:
            return str(uuid.UUID(given)) if given else None
        except ValueError:
            self.fault("id", "an id is a UUID of 36 characters; leave it out and it is made from source, id and type")
            return None

    def same(self, field: str, given: str | None, expected: str) -> None:
        if given is not None and given != expected:
            self.fault(field, f"{given!r} contradicts {expected!r} of the CloudEvent or account; leave it out")
