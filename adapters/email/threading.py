"""Which conversation a mail belongs to, read from the mail alone.

A reader with state walks References from last to first until it meets a message it knows, then In-Reply-To. An adapter
has no state; it names the conversation by the *first* id in References (RFC 5322 3.6.4: the list starts at the thread's
root and each reply appends its parent), so every mail of a thread names the same one without having seen the others.
Where that fails (a mailer that cut its References, or sends In-Reply-To only), all ids travel in the event's facts, in
the order of References, for a stage with state to walk from last to first. A subject alone never joins two mails.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable

import msgspec

ID_LIMIT = 400
REFERENCES_LIMIT = 50

_ANGLED = re.compile(r"<([^<>]*)>")
_SHAPE = re.compile(r"[^\s<>@]+@[^\s<>@]+|\"[^\"<>]+\"@[^\s<>@]+")
_UUID = r"([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})"
_SUBJECT_TAG = re.compile(rf"\[(?:#|ticket[:#]\s?){_UUID}\]", re.IGNORECASE)
_PLUS_TAG = re.compile(rf"\+(?:ticket[-.:])?{_UUID}$", re.IGNORECASE)


class Thread(msgspec.Struct, frozen=True):
    """``root`` names the conversation; ids are without angle brackets; ``references`` in the order of the header."""

    root: str
    in_reply_to: str | None
    references: list[str]


def ids(value: str) -> list[str]:
    """The ``<id@host>`` shapes in a header, each once, without their brackets; all other words are left out."""
    found = (match.strip() for match in _ANGLED.findall(value))
    return list(dict.fromkeys(one for one in found if len(one) <= ID_LIMIT and _SHAPE.fullmatch(one)))


def own_id(value: str) -> str | None:
    """A Message-ID's own value: unlike a reference it needs no ``@`` and no brackets, as some mailers write none."""
    match = _ANGLED.search(value)
    one = "".join((match.group(1) if match else value).split())
    return one if 0 < len(one) <= ID_LIMIT else None


def thread(references: str, in_reply_to: str, own: str, people: Collection[str] = ()) -> Thread:
    """The thread of a mail from its References and In-Reply-To as sent; ``own`` is the root of a mail with neither.

    ``people`` are the mail's own addresses, lower-case: old mailers write ``Message from A B <a@example.com> of …``
    into In-Reply-To, and there an address is no message id.
    """
    chain = ids(references)
    parents = [one for one in ids(in_reply_to) if one.lower() not in people]
    if len(chain) > REFERENCES_LIMIT:
        chain = chain[:1] + chain[1 - REFERENCES_LIMIT :]
    parent = parents[-1] if parents else None
    return Thread(chain[0] if chain else parent or own, parent, chain)


def ticket(subject: str, own_addresses: Iterable[str]) -> str | None:
    """The ticket that a plus-address of ours (``support+<uuid>@…``) or a subject tag (``[#<uuid>]``) names.

    ``own_addresses`` are those of the company that the mail was sent to. The address wins: people edit subjects.
    """
    matches = [_PLUS_TAG.search(address.rpartition("@")[0]) for address in own_addresses]
    named = next((match for match in matches if match), None) or _SUBJECT_TAG.search(subject)
    return str(uuid.UUID(named.group(1))) if named else None
