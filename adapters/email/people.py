"""Who wrote a mail to whom, seen from the company: direction, customer, agent, and whether the sender is proven.

``own_addresses`` of an account are the company's addresses and domains. A mail from one of them to somebody outside is
the company's answer; one that only relays a customer's words (a web form with a Reply-To) is the customer's mail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from adapters.email.vendor import Mail, Mailbox, address, sources

POINT_LIMIT = 100


class Own:
    """The company's own addresses and domains; a plus tag does not make an address another's."""

    def __init__(self, listed: str) -> None:
        """``listed``: addresses and domains with white space between; a domain does not include its subdomains."""
        words = [word.lower().lstrip("@") for word in listed.split()]
        self._addresses = {normal for word in words if "@" in word and (normal := address(word))}
        # A domain is normalised as a part of an address, so that both compare in the same form.
        whole = (address(f"x@{word}") for word in words if "@" not in word)
        self._domains = {normal.removeprefix("x@") for normal in whole if normal}

    def has(self, given: str) -> bool:
        """Whether a normalised address is the company's."""
        local, _, domain = given.rpartition("@")
        plain = f"{local.partition('+')[0]}@{domain}"
        return domain in self._domains or given in self._addresses or plain in self._addresses


class People(msgspec.Struct, frozen=True):
    """The mailboxes of a mail by what they are to the company, the likeliest customer first, and the direction."""

    direction: str
    customers: list[Mailbox]
    agents: list[Mailbox]
    others: list[Mailbox]
    proven: str | None

    @property
    def sent(self) -> bool:
        """Whether the company wrote it."""
        return self.direction != "inbound"


def people(mail: Mail, own: Own, headers: Mapping[str, str], authserv_id: str) -> People:
    """Who is who in a mail. ``headers``: the door's facts, ``x-envelope-from`` and ``x-envelope-to``."""
    authors = mail.mailboxes("from") or mail.mailboxes("sender") or mail.mailboxes("reply-to")
    if not authors:
        outer = headers.get("x-envelope-from") or mail.source("return-path").strip("<> ")
        authors = [Mailbox(normal, outer)] if (normal := address(outer)) else []
        mail.note("no-author")
    dmarc, domain = _authentication(mail, authserv_id)
    ours = bool(authors) and own.has(authors[0].address) and dmarc != "fail"
    if bool(authors) and own.has(authors[0].address) and not ours:
        mail.note("forged-own-address")
    door = [Mailbox(normal, one) for one in headers.get("x-envelope-to", "").split() if (normal := address(one))]
    to, cc = mail.mailboxes("to"), mail.mailboxes("cc")
    replies = [one for one in mail.mailboxes("reply-to") if not own.has(one.address)]
    mailboxes = {one.address for one in door} if not ours else set()
    inside = [one for one in (*to, *cc, *door) if own.has(one.address) or one.address in mailboxes]
    outside = [one for one in (*to, *cc, *(door if ours else [])) if one not in inside]
    if ours and not outside and replies:
        return People("inbound", replies[:1], inside, [*authors, *replies[1:]], None)
    if ours:
        direction = "outbound" if outside else "internal"
        return People(direction, outside[:1], [*authors, *inside], outside[1:], None)
    proven = authors[0].address if len(authors) == 1 and dmarc == "pass" else None
    if proven and domain and not proven.endswith("@" + domain):
        proven = None
    return People(
        "inbound", _distinct([*authors[:1], *replies[:1]]), inside, [*authors[1:], *outside, *replies[1:]], proven
    )


def _distinct(mailboxes: list[Mailbox]) -> list[Mailbox]:
    """The mailboxes, each address once."""
    return list({one.address: one for one in reversed(mailboxes)}.values())[::-1]


def _authentication(mail: Mail, authserv_id: str) -> tuple[str | None, str | None]:
    """The DMARC result of our own server and the domain it is for (RFC 8601); None where there is none.

    Only the topmost header with our server's id counts: it is the last one written, and servers remove those that a
    sender forged in their name (RFC 8601 5).
    """
    for header in sources(mail.message, "authentication-results"):
        bare = _bare(header)
        if not bare:
            return None, None
        server, *results = bare.split(";")
        if not authserv_id or server.split()[:1] != [authserv_id]:
            continue
        for result in results:
            found = re.match(r"\s*dmarc\s*=\s*(\w+)", result, re.IGNORECASE)
            if found:
                about = re.search(r"\bheader\.from\s*=\s*@?([^\s;]+)", result, re.IGNORECASE)
                whole = address(f"x@{about.group(1)}") if about else None
                return found.group(1).lower(), whole.removeprefix("x@") if whole else None
        return None, None
    return None, None


def _bare(header: str) -> str:
    """A header without quoted strings and comments, which can hold a sender's words; empty if one has no end."""
    bare = re.sub(r"\"[^\"]*\"", " ", header)
    for _ in range(10):
        bare = re.sub(r"\([^()]*\)", " ", bare)
    return "" if re.search(r"[()\"]", bare) else bare
