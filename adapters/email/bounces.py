"""Reports that a mail of ours could not be delivered, or is late: what became of it, for whom, and which mail it was.

Delivery status notifications (RFC 3464) say it in fields. Older servers say it in prose: those are recognised by a
sender that is a server, and a subject or a sentence from a table; whom they are about is read as far as it can be.
"""

from __future__ import annotations

import re
from email.message import Message
from email.parser import HeaderParser
from email.policy import compat32

import msgspec

from adapters.email.automatic import by_machine
from adapters.email.threading import own_id, thread
from adapters.email.vendor import Mail, address, clean, content_type, decoded, inner, leaves, source

BOUNCED = "email.bounced"
DELAYED = "email.delayed"

_PROSE_LIMIT = 64_000
_RECIPIENT_LIMIT = 50
_FIELD_LIMIT = 1000

# RFC 3464 2.3.3, and words that servers use in their place. Good ones make no bounce.
_ACTIONS = {"failed": BOUNCED, "failure": BOUNCED, "expired": BOUNCED, "delayed": DELAYED, "delay": DELAYED}
_GOOD = frozenset({"delivered", "relayed", "expanded", "deliverable"})

_DELAY_WORDS = re.compile(
    r"delayed|\bdelay\b|still being (?:re)?tried|not been delivered yet|will (?:continue|keep) (?:to try|trying)"
    r"|could not send message for past|warning message only|do not need to resend|queued for later|will be retried",
    re.IGNORECASE,
)
_SUBJECT_WORDS = re.compile(
    r"undeliver|not delivered|un?able to deliver|could(?:n't| not) be delivered|failure notice|mail failure"
    r"|delivery (?:failure|failed|error|problem|has failed|unsuccessful|(?:status )?(?:notification|report))"
    r"|returned (?:e?-?mail|message)|return(?:ing|ed)(?: message)? to sender|mail (?:system )?error|message status"
    r"|non-?delivery|mail delivery|bounced? (?:e?-?mail|message)|address (?:error|unknown)|user unknown|deferred mail"
    r"|permanent(?: delivery)? (?:fail|error)|nondeliverable|rejected|\bbounce\b|delay",
    re.IGNORECASE,
)
_BODY_WORDS = re.compile(
    r"(?:could|can|was|were|is|has|have|be|been)(?:n't| ?not)(?: be| been| able to)?(?: \w+){0,2} deliver"
    r"|undeliver(?:able|ed)|unable to deliver|delivery (?:to the following|failed|failure|has failed|attempt)"
    r"|permanent (?:fatal )?(?:error|failure)|returned to sender|user unknown|unknown user"
    r"|no such user|mailbox (?:is )?full"
    r"|unrouteable|address(?:es)? failed|not deliver|\b55[0-4][ -][5-9#\[<A-Za-z]",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_QUOTED_ID = re.compile(r"^[> \t]*message-id:\s*<[^<>\n]+>", re.IGNORECASE | re.MULTILINE)
_WORD = r"[^\s<>\"(),;:\[\]]{1,64}@[^\s<>\"(),;:\[\]]{1,255}"
# Where servers that write prose put the address: alone on a line or at its start, else the first one in brackets.
_PROSE_ADDRESSES = (
    re.compile(rf"^[ \t>*]*(?:to:?|rcpt to:?)?[ \t]*<?({_WORD}?)>?[.:,;]?[ \t]*$", re.IGNORECASE | re.MULTILINE),
    re.compile(rf"^[ \t>*]*<?({_WORD}?)>?(?:\.\.\.|:|[ \t;,(-])", re.IGNORECASE | re.MULTILINE),
    re.compile(rf"<({_WORD})>"),
    re.compile(rf"({_WORD}?)[.,:;'\"]?(?:\s|$)"),
)


class Bounce(msgspec.Struct, frozen=True):
    """``type``: the event's; ``recipients``: normalised addresses that the mail did not reach; ``thread``: the
    conversation of the mail that was sent, None where the report does not name it; ``status`` as in RFC 3463."""

    type: str
    recipients: list[str]
    message_id: str | None
    thread: str | None
    status: str | None


def read(mail: Mail, envelope_from: str | None) -> Bounce | None:
    """The bounce or delay that a mail reports, or None for a mail that reports neither."""
    parts = list(leaves(mail.message))
    fields = [
        field for part in parts if content_type(part) == "message/delivery-status" for field in _fields(part, mail)
    ]
    kind = _by_fields(fields)
    if kind is None and not any(name == "action" and _action(value) in _GOOD for name, value in fields):
        kind = _by_words(mail, envelope_from, parts)
    if kind is None:
        return None
    sent = _original(parts, mail)
    own = own_id(source(sent, "message-id")) if sent is not None else None
    return Bounce(
        type=kind,
        recipients=_recipients(fields, mail, sent, parts)[:_RECIPIENT_LIMIT],
        message_id=own,
        thread=thread(source(sent, "references"), source(sent, "in-reply-to"), own).root
        if sent is not None and own
        else None,
        status=next(
            (found.group() for name, value in fields if name == "status" and (found := _STATUS.search(value))), None
        ),
    )


def _fields(part: Message, mail: Mail) -> list[tuple[str, str]]:
    """The fields of a delivery-status part, names in lower case; the parser gives its groups as messages."""
    groups = inner(part) if part.is_multipart() else [_headers(decoded(part, mail, _PROSE_LIMIT))]
    return [
        (name.lower(), clean(" ".join(str(value)[:_FIELD_LIMIT].split())))
        for group in groups
        for name, value in group.raw_items()
    ]


def _headers(text: str) -> Message:
    return HeaderParser(policy=compat32).parsestr(text.lstrip("\n"))


def _action(value: str) -> str:
    return value.split("(")[0].strip().lower().rstrip(";")


def _by_fields(fields: list[tuple[str, str]]) -> str | None:
    """One failed recipient makes a bounce; without an action the status decides: 4.x.x is a delay (RFC 3463 2)."""
    actions = [_action(value) for name, value in fields if name == "action"]
    kinds = {_ACTIONS[action] for action in actions if action in _ACTIONS}
    if not _GOOD.union(_ACTIONS).intersection(actions):
        classes = [found.group()[0] for name, value in fields if name == "status" and (found := _STATUS.search(value))]
        kinds = {BOUNCED for one in classes if one == "5"} or {DELAYED for one in classes if one == "4"}
    return BOUNCED if BOUNCED in kinds else DELAYED if kinds else None


def _by_words(mail: Mail, envelope_from: str | None, parts: list[Message]) -> str | None:
    """What a report in prose says. Only a server's mail is read so: people write "undeliverable", too."""
    failed = mail.source("x-failed-recipients")
    null = envelope_from == "" or bool(re.match(r"\s*<\s*>", mail.source("return-path")))
    report = content_type(parts[0]) == "multipart/report"
    postmaster = any(one.address.startswith("postmaster@") for one in mail.mailboxes("from"))
    if not (failed or null or report or postmaster or by_machine(mail)):
        return None
    subject = mail.header("subject")
    prose = _prose(parts, mail)
    lead = prose[:2000]
    if re.search(r"feedback-report|disposition-notification", " ".join(content_type(part) for part in parts)):
        return None
    if not (failed or _SUBJECT_WORDS.search(subject) or _BODY_WORDS.search(lead)):
        return None
    return DELAYED if _DELAY_WORDS.search(subject) or (not failed and _DELAY_WORDS.search(lead)) else BOUNCED


def _prose(parts: list[Message], mail: Mail) -> str:
    """The first text of a report; HTML counts where it is all there is."""
    texts = [part for part in parts if content_type(part).startswith("text/") and not part.is_multipart()]
    plain = [part for part in texts if content_type(part) == "text/plain"]
    return decoded((plain or texts)[0], mail, _PROSE_LIMIT) if texts else ""


def _original(parts: list[Message], mail: Mail) -> Message | None:
    """The header of the mail that was sent: an attached message, its header alone, or a copy at the end of the text."""
    for part in parts[1:]:
        kind = content_type(part)
        if kind in ("text/rfc822-headers", "message/rfc822-headers", "message/rfc822", "message/global", "text/rfc822"):
            attached = inner(part) or [_headers(decoded(part, mail, _PROSE_LIMIT))]
            if attached[0].keys():
                return attached[0]
    prose = _prose(parts, mail)
    quoted = _QUOTED_ID.search(prose)
    if quoted is None:
        return None
    begin = prose.rfind("\n\n", 0, quoted.start()) + 2 if "\n\n" in prose[: quoted.start()] else 0
    end = prose.find("\n\n", quoted.end())
    block = prose[begin : end if end >= 0 else len(prose)]
    return _headers("\n".join(line.removeprefix("> ") for line in block.split("\n")))


def _recipients(fields: list[tuple[str, str]], mail: Mail, sent: Message | None, parts: list[Message]) -> list[str]:
    """Whom the mail did not reach. The original recipient counts before the final one, which an alias may hide."""
    given: list[str] = []
    for wanted in ("original-recipient", "final-recipient"):
        given = given or [value.partition(";")[2] or value for name, value in fields if name == wanted]
    given = given or mail.source("x-failed-recipients").split(",")
    found = [normal for one in given if (normal := address(one.strip().strip("<>").strip()))]
    if not found:
        prose = _prose(parts, mail)
        head = prose[: quoted.start()] if (quoted := _QUOTED_ID.search(prose)) else prose
        away = {one.address for name in ("to", "from", "sender") for one in mail.mailboxes(name)}
        for pattern in _PROSE_ADDRESSES:
            found = found or [
                normal for one in pattern.findall(head) if (normal := address(one)) and normal not in away
            ]
    if not found and sent is not None:
        found = _addresses_of(sent)
    return list(dict.fromkeys(found))


def _addresses_of(sent: Message) -> list[str]:
    words = re.findall(r"[^\s<>\"(),;:]{1,64}@[^\s<>\"(),;:]{1,255}", source(sent, "to"))
    return [normal for one in words if (normal := address(one))]
