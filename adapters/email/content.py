"""What a mail says and brings along: its newest text, and its attachments in the blob store.

``text/plain`` is preferred; HTML is set as plain lines. Of a reply only what is new is kept, as the whole stands in the
raw mail; of a forward, and of a mail that answers nothing, everything is.
"""

from __future__ import annotations

import hashlib
import re
from email.header import decode_header, make_header
from email.message import Message
from email.policy import compat32

from mailparser_reply.constants import MAIL_LANGUAGES
from mailparser_reply.parser import EmailMessage as ReplyPatterns

from adapters.contract import BlobStore
from adapters.email import markup
from adapters.email.vendor import PARSER_ERRORS, Mail, children, clean, content_type, decoded, inner, payload
from schemas.records import Attachment

TEXT_LIMIT = 32_000
HTML_LIMIT = 1_000_000
ATTACHMENT_LIMIT = 100

# Parts that are read for what they say of a delivery, and are no files that somebody sent.
_REPORTS = frozenset({"message/delivery-status", "message/disposition-notification", "message/feedback-report"})

_FORWARD = re.compile(r"\s*(?:fwd?|wg|tr|rv|enc|vb|doorst)\s*:", re.IGNORECASE)
_REPLY = re.compile(r"\s*(?:re|aw|antw|antwort|sv|vs|odp|ref|r)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)

# The library's own splitter takes a minute for 60 KB of the word "On"; its patterns, on lines cut to this length, take
# milliseconds. Polish is left out: its pattern takes a single line "Data: …" for the head of a quoted mail.
_LINE_LIMIT = 300
_QUOTE_HEAD = ReplyPatterns(text="", languages=[name for name in MAIL_LANGUAGES if name != "pl"]).HEADER_REGEX
_QUOTED = re.compile(r"[ \t]*>")
_OUTLOOK_RULE = re.compile(r"^_{32,}$", re.MULTILINE)


def text(mail: Mail, subject: str, answers: bool) -> str | None:
    """What the mail says, at most ``TEXT_LIMIT`` characters; of a reply (``answers``, or by subject) what is new."""
    whole = _joined(_text(mail.message, mail))
    if (answers or _REPLY.match(subject)) and not _FORWARD.match(subject):
        whole = newest(whole)
    if len(whole) > TEXT_LIMIT:
        mail.note("text-cut")
    return whole[:TEXT_LIMIT] or None


def attachments(mail: Mail, blobs: BlobStore) -> list[Attachment]:
    """Every file in the mail, inline images and attached mails too; each is durable in ``blobs`` on return."""
    files = _files(mail.message)
    if len(files) > ATTACHMENT_LIMIT:
        mail.note("attachments-cut")
    return [_attachment(part, mail, blobs) for part in files[:ATTACHMENT_LIMIT]]


def newest(whole: str) -> str:
    """What a reply adds to the mails it quotes; the whole when it adds nothing but the quotes' heads."""
    lines = whole.split("\n")
    cut = "\n".join(line.strip()[:_LINE_LIMIT] for line in lines)
    kept = len(lines)
    heads: set[int] = set()
    for pattern in (_QUOTE_HEAD, _OUTLOOK_RULE):
        for match in pattern.finditer(cut):
            # Some patterns begin with the line end before the head.
            begin = match.start() + len(match.group()) - len(match.group().lstrip())
            first, last = cut.count("\n", 0, begin), cut.count("\n", 0, match.end())
            if _said(lines[:first], heads):
                kept = min(kept, first)
                break
            # The quote comes first and the answer below it, so only the quote's head goes.
            if "\n".join(lines[last + 1 :]).lstrip().startswith(">"):
                heads.update(range(first, last + 1))
    own = [line for number, line in enumerate(lines[:kept]) if number not in heads and not _QUOTED.match(line)]
    return _tidy("\n".join(own)) or _tidy(whole)


def _said(lines: list[str], heads: set[int]) -> bool:
    """Whether any line is the writer's own."""
    return any(line.strip() and number not in heads and not _QUOTED.match(line) for number, line in enumerate(lines))


def _tidy(lines: str) -> str:
    return re.sub(r"\n[ \t\xa0]*(?:\n[ \t\xa0]*)+", "\n\n", lines).strip()


def _joined(found: list[tuple[str, bool]]) -> str:
    return "\n\n".join(one for one, _ in found if one)


def _is_file(part: Message) -> bool:
    """Whether a leaf is something sent along rather than something said."""
    try:
        named = part.get_content_disposition() == "attachment" or bool(part.get_filename())
    except PARSER_ERRORS:
        named = False
    return named or content_type(part) not in ("text/plain", "text/html")


def _text(part: Message, mail: Mail, root: bool = True) -> list[tuple[str, bool]]:
    """The texts under a part, and for each whether it was made of HTML."""
    kind = content_type(part)
    parts = children(part)
    if parts:
        found = [_text(child, mail, root=False) for child in (parts[:1] if kind == "multipart/report" else parts)]
        if kind != "multipart/alternative":
            return [one for several in found for one in several]
        said = [several for several in found if _joined(several)]
        plain = (several for several in said if not any(html for _, html in several))
        return next(plain, said[0] if said else [])
    if _is_file(part) and not (root and kind in ("text/plain", "text/html")):
        return []
    if kind == "text/html":
        return [(_tidy(markup.lines(decoded(part, mail, HTML_LIMIT))), True)]
    return [(_tidy(decoded(part, mail, 4 * TEXT_LIMIT)), False)]


def _files(message: Message) -> list[Message]:
    """The leaves that are files, outermost first; a mail that is nothing but text has none."""
    found: list[Message] = []
    waiting = [message]
    while waiting:
        part = waiting.pop()
        parts = children(part)
        waiting += reversed(parts)
        kind = content_type(part)
        is_said = part is message and kind in ("text/plain", "text/html")
        # A multipart without parts is broken; the raw mail keeps what it held.
        if not parts and not is_said and not kind.startswith("multipart/") and kind not in _REPORTS and _is_file(part):
            found.append(part)
    return found


def _attachment(part: Message, mail: Mail, blobs: BlobStore) -> Attachment:
    kind = content_type(part)
    try:
        # RFC 2047 forbids encoded words in a file name; most mailers write them.
        name = str(make_header(decode_header(part.get_filename() or "")))
    except PARSER_ERRORS:
        name = ""
        mail.note("file-name-unreadable")
    data = attached_message(part, mail) if kind.startswith("message/") else payload(part)
    name = re.sub(r"[\x00-\x1f\x7f]", "_", clean(name).replace("\\", "/").rpartition("/")[2]).strip()[:200]
    return Attachment(
        name=name or "unnamed",
        media_type=clean(kind)[:100],
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        where=blobs.put(data),
    )


def attached_message(part: Message, mail: Mail) -> bytes:
    """An attached mail as bytes; the parser has taken it apart, so it is put together again."""
    return b"\n".join(as_bytes(one, mail) for one in inner(part)) if part.is_multipart() else payload(part)


def as_bytes(message: Message, mail: Mail) -> bytes:
    """An attached mail put together again; what can't be is noted, and stands in the raw mail."""
    try:
        # compat32 writes headers as they came, where the default policy would parse and may fail on them.
        return message.as_bytes(policy=compat32)
    except PARSER_ERRORS:
        mail.note("attached-mail-unreadable")
        return b""
