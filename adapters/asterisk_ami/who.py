"""Who is at the other end of a call: which way it went, and the customer's number as a contact point."""

from __future__ import annotations

import re

import msgspec

from adapters.asterisk_ami.protocol import Message
from adapters.contract import Account
from adapters.phones import e164, in_use
from schemas.records import ContactPoint

# Star codes and SIP addresses are no phone numbers, though a lenient parser makes ``*30402`` one in Berlin.
_DIGITS = re.compile(r"\+?[0-9 ().\-/]+")


class Placed(msgspec.Struct, frozen=True):
    """How a call began: ``direction``, and the customer's number as Asterisk gave it, empty when there is none."""

    direction: str
    number: str


def placed(message: Message, account: Account) -> Placed:
    """Read from a call's first ``Newchannel``.

    A leg in one of the account's ``internal_contexts`` was begun by the company's own people, a ``Local/`` leg by a
    program for them: what they dial is the customer if it is a phone number, else the call stays inside.
    """
    inside = {name.strip() for name in account.options.get("internal_contexts", "").split(",") if name.strip()}
    if message.get("Channel").startswith("Local/"):
        dialled = message.get("Exten")
        return Placed("outbound", dialled if phone(dialled, account.region) else "")
    if message.get("Context") in inside:
        dialled = message.get("Exten")
        return Placed("outbound", dialled) if phone(dialled, account.region) else Placed("internal", "")
    return Placed("inbound", message.get("CallerIDNum"))


def phone(number: str, region: str | None) -> str:
    """The number in E.164; empty for what is none: withheld, an inner extension, a name.

    A number with ``+`` need only have a possible length; without it, it must be one that the region has given out,
    so that no extension passes for a subscriber's.
    """
    if not _DIGITS.fullmatch(number):
        return ""
    found = e164(number, region)
    return found if found and (number.startswith("+") or in_use(found)) else ""


def contact_points(number: str, call: str, account: Account) -> list[ContactPoint]:
    """The customer's phone, where one is known, and the call itself.

    The call's own id is on every event of it: the first event links it to the customer, and one that comes without a
    number (or from a caller who withheld it) still finds the same customer. ``anonymous`` never identifies anybody.
    """
    points = []
    found = phone(number, account.region)
    if found:
        points.append(ContactPoint(kind="phone", value=found, as_given=number))
    # Verified, because Asterisk itself says which call an event belongs to; ids are unique per Asterisk only.
    points.append(ContactPoint(kind="asterisk_call", value=f"{account.name}:{call}", as_given=call, verified=True))
    return points
