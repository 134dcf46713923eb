"""Which mails no person wrote, and why we think so: a table of rules, first match wins.

Such mail never opens a promise's clock nor stops one (RFC 3834 tells why not to answer it, too). Delivery reports are
read in ``bounces``; this table covers everything else that a machine sends.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from adapters.email.vendor import Mail, content_type, leaves


class Rule(NamedTuple):
    """``header`` (lower case) matching ``pattern`` means that the mail is automatic because of ``reason``."""

    header: str
    pattern: re.Pattern[str]
    reason: str


def _rule(header: str, pattern: str, reason: str) -> Rule:
    return Rule(header, re.compile(pattern, re.IGNORECASE), reason)


RULES = (
    _rule("auto-submitted", r"\s*(?!no\b)\S", "auto-submitted"),  # RFC 3834 5
    _rule("x-autoreply", r"\s*(?!no\b|false\b)\S", "auto-reply"),
    _rule("x-autorespond", r"\s*\S", "auto-reply"),
    _rule("x-autoresponder", r"\s*\S", "auto-reply"),
    _rule("x-auto-reply-from", r"\s*\S", "auto-reply"),
    _rule("x-mail-autoreply", r"\s*\S", "auto-reply"),
    _rule("x-apple-action", r"\s*vacation\b", "auto-reply"),
    _rule("precedence", r"\s*auto[_-]?reply\b", "auto-reply"),
    _rule("list-id", r"\s*\S", "list"),  # RFC 2919
    _rule("precedence", r"\s*list\b", "list"),
    _rule("precedence", r"\s*(?:bulk|junk)\b", "bulk"),
    _rule("x-auto-response-suppress", r"\s*(?!none\b)\S", "auto-response-suppress"),  # [MS-OXCMAIL]
    _rule("return-path", r"\s*<\s*>", "null-sender"),  # RFC 5321 4.5.5
)

REPORTS = {
    "message/feedback-report": "feedback-report",
    "message/disposition-notification": "disposition-notification",
}

# How servers sign their own mail, in the address or in the name beside it.
_MACHINE = re.compile(r"mail(?:er)?[-_. ]?daemon|mail[-_. ]?delivery[-_. ]?(?:sub)?system", re.IGNORECASE)


def by_machine(mail: Mail) -> bool:
    """Whether the author is a mail server."""
    return any(_MACHINE.search(mail.source(name)) for name in ("from", "sender", "return-path"))


def reason(mail: Mail, envelope_from: str | None) -> str | None:
    """Why no person wrote the mail, or None. ``envelope_from``: empty for ``<>``, None where the door doesn't know."""
    kinds = [content_type(part) for part in leaves(mail.message)]
    if kinds[0] == "multipart/report":
        return next((REPORTS[kind] for kind in kinds if kind in REPORTS), "report")
    if by_machine(mail):
        return "mailer-daemon"
    for rule in RULES:
        if rule.pattern.match(mail.source(rule.header)):
            return rule.reason
    return "null-sender" if envelope_from == "" else None
