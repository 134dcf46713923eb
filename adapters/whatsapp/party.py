"""Who the customer of a WhatsApp part is: a phone number, a business-scoped user id (BSUID), or both.

Parts name the customer by number or id; the list of contacts beside them has the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from adapters.whatsapp.vendor import Contact, phone
from schemas.records import ContactPoint


class Party(NamedTuple):
    """``key`` tells conversations apart; ``contact`` is the entry of the list that belongs to this customer."""

    key: str
    points: list[ContactPoint]
    contact: msgspec.Raw | None = None


def party(contacts: Sequence[msgspec.Raw], number: str | None, user_id: str | None) -> Party:
    """The customer with this ``number`` (digits as WhatsApp writes them) or ``user_id``; either may be missing."""
    raw, contact = _belonging(contacts, number, user_id)
    user_id = user_id or contact.user_id
    given = number if phone(number) else contact.wa_id
    if phone(given) is None:
        given = None
    return Party(given or user_id or number or "", points(given, user_id) or points(number, None), raw)


def points(number: str | None, user_id: str | None) -> list[ContactPoint]:
    """The contact points, verified by WhatsApp. What stands for a number and is none is taken as an id."""
    found = []
    if e164 := phone(number):
        found.append(ContactPoint(kind="phone", value=e164, as_given=number or "", verified=True))
    elif number:
        found.append(ContactPoint(kind="whatsapp_user", value=number, as_given=number, verified=True))
    if user_id:
        found.append(ContactPoint(kind="whatsapp_user", value=user_id, as_given=user_id, verified=True))
    return found


def _belonging(
    contacts: Sequence[msgspec.Raw], number: str | None, user_id: str | None
) -> tuple[msgspec.Raw | None, Contact]:
    """The contact with this number or id, or the only one there is unless it bears another number.

    In an echo the only contact may be our own side: taking it would make one person of two.
    """
    known: list[tuple[msgspec.Raw, Contact]] = []
    for raw in contacts:
        try:
            known.append((raw, msgspec.json.decode(raw, type=Contact)))
        except msgspec.MsgspecError:
            continue  # nobody can be told from it; the parts have numbers of their own
    for raw, contact in known:
        if (user_id and contact.user_id == user_id) or (number and contact.wa_id == number):
            return raw, contact
    if len(known) == 1:
        contact = known[0][1]
        if phone(number) is None or contact.wa_id is None or phone(number) == phone(contact.wa_id):
            return known[0]
    return None, Contact()
