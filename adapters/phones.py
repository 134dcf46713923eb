"""Phone numbers as contact points: E.164 where the number could exist, nothing where it could not.

Only the length is checked, not whether the range is in use today: a vendor that delivers a call or message from a
number knows better than a table. A landline is never rewritten into a mobile number.
"""

from __future__ import annotations

import phonenumbers


def e164(number: str, region: str | None = None) -> str | None:
    """``number`` as ``+`` and digits, or None. A national number needs ``region`` (ISO 3166 alpha-2)."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def in_use(number: str) -> bool:
    """Whether an E.164 number lies in a range that its country has given out."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False
