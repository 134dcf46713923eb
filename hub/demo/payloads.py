"""What the vendors of the story send: a mail, a WhatsApp delivery, commands. Instants are microseconds."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import msgspec

SECOND = 1_000_000
SUPPORT = "support@shop.example"


def mail(sender: str, to: str, subject: str, text: str, at: int, message_id: str, answers: str = "") -> bytes:
    """A mail as a mail server hands it over."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = format_datetime(datetime.fromtimestamp(at / SECOND, UTC))
    message["Message-ID"] = f"<{message_id}>"
    if answers:
        message["In-Reply-To"] = message["References"] = f"<{answers}>"
    message.set_content(text)
    return message.as_bytes()


def whatsapp(number: str, text: str, at: int, secret: str) -> tuple[bytes, dict[str, str]]:
    """A delivery of the WhatsApp Cloud API with one message, and the headers it is signed with."""
    digits = number.lstrip("+")
    message = {
        "from": digits,
        "id": f"wamid.{at}",
        "timestamp": str(at // SECOND),
        "type": "text",
        "text": {"body": text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001111", "phone_number_id": "1000000001"},
        "contacts": [{"wa_id": digits}],
        "messages": [message],
    }
    body = msgspec.json.encode(
        {
            "object": "whatsapp_business_account",
            "entry": [{"id": "2000000001", "changes": [{"field": "messages", "value": value}]}],
        }
    )
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}


def cloud_event(event_type: str, at: int, data: dict[str, object]) -> tuple[bytes, dict[str, str]]:
    """A CloudEvent in structured form, as an agent's desktop or a shop system posts it."""
    moment = datetime.fromtimestamp(at / SECOND, UTC).isoformat().replace("+00:00", "Z")
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{event_type}{at}")),
        "source": "desktop/demonstration",
        "type": event_type,
        "time": moment,
        "datacontenttype": "application/json",
        "data": data,
    }
    return msgspec.json.encode(event), {"Content-Type": "application/cloudevents+json", "Prefer": "wait=20"}


def command(event_type: str, at: int, ticket: str, **fields: str) -> tuple[bytes, dict[str, str]]:
    """What an agent of the own second line does with a ticket."""
    data: dict[str, object] = {
        "channel": "internal",
        "direction": "internal",
        "conversation": f"ticket:{ticket}",
        "contact_points": [{"kind": "hub", "value": f"ticket:{ticket}"}],
        "actor": {"kind": "agent", "id": "agent-7", "team": "second-line", "organisation": "own"},
        "facts": {"kind": "ticket", "ticket": ticket, **fields},
    }
    return cloud_event(event_type, at, data)


def customer_record(at: int, external: str, address: str, number: str) -> tuple[bytes, dict[str, str]]:
    """What the shop's own system knows of a customer: contact points that it has verified."""
    data: dict[str, object] = {
        "channel": "back_office",
        "direction": "internal",
        "conversation": f"shop:{external}",
        "contact_points": [
            {"kind": "external_id", "value": external, "verified": True},
            {"kind": "email", "value": address, "verified": True},
            {"kind": "phone", "value": number, "verified": True},
        ],
        "actor": {"kind": "system", "organisation": "own"},
        "facts": {"kind": "customer", "tier": "standard", "orders": {"A-1001": "shipped"}},
    }
    return cloud_event("customer.context_updated", at, data)
