"""What a WhatsApp message says, as text and attachments. Content that can't be read leaves a message without text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from adapters.whatsapp.vendor import MEDIA
from schemas.records import Attachment


class Content(msgspec.Struct):
    """``concerns``: the id of the message that a reaction, edit or deletion is about."""

    text: str | None = None
    attachments: list[Attachment] = []
    concerns: str | None = None
    attributes: dict[str, str] = {}


class _Text(msgspec.Struct):
    body: str


class _Button(msgspec.Struct):
    text: str
    payload: str | None = None


class _Media(msgspec.Struct):
    id: str = ""
    mime_type: str = "application/octet-stream"
    sha256: str = ""
    filename: str | None = None
    caption: str | None = None


class _Location(msgspec.Struct):
    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class _Name(msgspec.Struct):
    formatted_name: str = ""


class _Card(msgspec.Struct):
    name: _Name = msgspec.field(default_factory=_Name)


class _Item(msgspec.Struct):
    product_retailer_id: str = ""
    quantity: int | str = 1


class _Order(msgspec.Struct):
    catalog_id: str = ""
    text: str = ""
    product_items: list[_Item] = []


class _Reaction(msgspec.Struct):
    message_id: str
    emoji: str = ""


class _Choice(msgspec.Struct):
    title: str
    id: str = ""
    description: str | None = None


class _Flow(msgspec.Struct):
    response_json: str = "{}"
    body: str | None = None


class _Interactive(msgspec.Struct):
    type: str = ""
    button_reply: _Choice | None = None
    list_reply: _Choice | None = None
    nfm_reply: _Flow | None = None


class _Revoke(msgspec.Struct):
    original_message_id: str


class _Edit(msgspec.Struct):
    original_message_id: str
    message: msgspec.Raw


class _System(msgspec.Struct):
    """``wa_id``: the new number of a customer who changed it."""

    body: str = ""
    type: str = ""
    wa_id: str | None = None
    new_wa_id: str | None = None


class _Unsupported(msgspec.Struct):
    type: str = ""


def _hex(digest: str) -> str | None:
    """WhatsApp writes SHA-256 in base64; None for what is none."""
    try:
        data = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.hex() if len(data) == 32 else None


def _text(part: _Text) -> Content:
    return Content(text=part.body)


def _button(part: _Button) -> Content:
    return Content(text=part.text, attributes={"button": part.payload} if part.payload else {})


def _media(kind: str) -> Callable[[_Media], Content]:
    def read(part: _Media) -> Content:
        attachment = Attachment(
            name=part.filename or kind,
            media_type=part.mime_type,
            size=0,  # the webhook doesn't tell; known only once the media is fetched by its id
            sha256=_hex(part.sha256),
            where=f"whatsapp:{part.id}",
        )
        return Content(text=part.caption, attachments=[attachment])

    return read


def _location(part: _Location) -> Content:
    words = [part.name, part.address, f"{part.latitude}, {part.longitude}"]
    return Content(text="\n".join(word for word in words if word))


def _cards(part: list[_Card]) -> Content:
    return Content(text=", ".join(card.name.formatted_name for card in part))


def _order(part: _Order) -> Content:
    lines = [f"{item.quantity} × {item.product_retailer_id}" for item in part.product_items]
    text = "\n".join([part.text, *lines] if part.text else lines)
    return Content(text=text, attributes={"catalog": part.catalog_id})


def _reaction(part: _Reaction) -> Content:
    return Content(
        text=part.emoji or None, concerns=part.message_id, attributes={} if part.emoji else {"removed": "true"}
    )


def _interactive(part: _Interactive) -> Content:
    attributes = {"interactive": part.type}
    choice = part.button_reply or part.list_reply
    if choice is not None:
        return Content(text=choice.title, attributes={**attributes, "button": choice.id})
    if part.nfm_reply is not None:
        answers = msgspec.json.decode(part.nfm_reply.response_json, type=dict[str, object])
        lines = [f"{question}: {answer}" for question, answer in answers.items() if question != "flow_token"]
        return Content(text="\n".join(lines) or part.nfm_reply.body, attributes=attributes)
    return Content(attributes=attributes)


def _revoke(part: _Revoke) -> Content:
    return Content(concerns=part.original_message_id)


def _edit(part: _Edit) -> Content:
    after = msgspec.json.decode(part.message, type=dict[str, msgspec.Raw])
    changed = read(msgspec.json.decode(after.get("type", msgspec.Raw(b'""')), type=str), after)
    return Content(text=changed.text, attachments=changed.attachments, concerns=part.original_message_id)


def _system(part: _System) -> Content:
    attributes = {"system": part.type}
    new = part.wa_id or part.new_wa_id
    return Content(text=part.body or None, attributes={**attributes, "new_number": new} if new else attributes)


def _unsupported(part: _Unsupported) -> Content:
    return Content(attributes={"unsupported": part.type})


P = TypeVar("P")


def _reader(shape: type[P], make: Callable[[P], Content]) -> Callable[[msgspec.Raw], Content]:
    return lambda part: make(msgspec.json.decode(part, type=shape))


# The part of a message that bears its type's name, and how it reads.
READERS: Mapping[str, Callable[[msgspec.Raw], Content]] = {
    "text": _reader(_Text, _text),
    "button": _reader(_Button, _button),
    "location": _reader(_Location, _location),
    "contacts": _reader(list[_Card], _cards),
    "order": _reader(_Order, _order),
    "reaction": _reader(_Reaction, _reaction),
    "interactive": _reader(_Interactive, _interactive),
    "revoke": _reader(_Revoke, _revoke),
    "edit": _reader(_Edit, _edit),
    "system": _reader(_System, _system),
    "unsupported": _reader(_Unsupported, _unsupported),
    **{kind: _reader(_Media, _media(kind)) for kind in MEDIA},
}


def read(kind: str, parts: Mapping[str, msgspec.Raw]) -> Content:
    """What the message with these ``parts`` says. ``kind`` is its type; a type that is new to the hub says nothing."""
    part, reader = parts.get(kind), READERS.get(kind)
    if part is None or reader is None:
        return Content()
    try:
        return reader(part)
    except msgspec.MsgspecError:  # the message still counts as one that the customer wrote
        return Content(attributes={"content": "unreadable"})
