"""What mail is, as it really arrives: parsing that never fails, tolerant access to headers, addresses and charsets.

The standard library's parser and its header classes do the work. They raise a handful of exceptions on malformed
input and are slow on hostile input, so everything here is bounded, and what goes wrong is noted as a defect.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import EmailPolicy
from typing import NamedTuple

from domain.errors import Reason, Unreadable

HEADER_BLOCK_LIMIT = 1024 * 1024
HEADER_LIMIT = 64 * 1024
PART_LIMIT = 2000
DEFECT_LIMIT = 20

# What email.policy.default is known to raise on malformed headers and bodies (IndexError, KeyError, UnicodeError and
# binascii.Error are among these by inheritance).
PARSER_ERRORS = (
    MessageError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RecursionError,
)

# Names that mailers use and Python's codec registry does not know, and subsets whose superset mailers mean.
CHARSETS = {
    "cp-850": "cp850",
    "cp932": "cp932",
    "gb2312": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "win-1251": "cp1251",
    "windows-874": "cp874",
    "x-gbk": "gb18030",
    "x-sjis": "cp932",
    "x-mac-roman": "mac-roman",
    "x-macintosh": "mac-roman",
}

_ADDRESS = re.compile(r"[^\s<>\"(),;:\[\]\\@]{1,128}@[^\s<>\"(),;:\[\]\\@]{1,255}")
_FOLD = re.compile(r"\r?\n[ \t]*|\r")
_NOT_TEXT = re.compile("[\ud800-\udfff\x00]")
_HEADER_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


_PART_HEADERS = frozenset({"content-type", "content-transfer-encoding", "content-disposition", "mime-version"})
_PART_HEADER_LIMIT = 2000
_REPEAT_LIMIT = 20


class Mailbox(NamedTuple):
    """One address of a header: ``address`` normalised for comparison, ``as_given`` with its display name."""

    address: str
    as_given: str


class _Bounded(EmailPolicy):
    """``email.policy.default``, bounded: it takes 40 ms for a Content-Type of a kilobyte, several times for each part.

    The headers of a part are given as text, which is what the parser needs of them; others up to ``HEADER_LIMIT``.
    """

    def header_fetch_parse(self, name: str, value: str) -> str:
        if name.lower() in _PART_HEADERS:
            return _FOLD.sub(" ", _as_utf_8(value[:_PART_HEADER_LIMIT]))
        parsed: str = super().header_fetch_parse(name, value[:HEADER_LIMIT])
        return parsed


POLICY = _Bounded(raise_on_defect=False)


class Mail:
    """A parsed mail. ``defects`` are short words for what was wrong with it, each once, in the order met."""

    def __init__(self, body: bytes) -> None:
        """Raises ``Unreadable`` when the bytes have no header at all, or one longer than ``HEADER_BLOCK_LIMIT``."""
        self.defects: list[str] = []
        self.message = self._parse(body)
        if not self.message.keys():
            raise Unreadable(Reason.NOT_MAIL, "no header line was found; send the raw RFC 5322 message")
        for part in leaves(self.message):
            for defect in part.defects:
                self.note(_word(type(defect).__name__))

    def _parse(self, body: bytes) -> EmailMessage:
        block = _HEADER_END.search(body[: HEADER_BLOCK_LIMIT + 4])
        if block is None and len(body) > HEADER_BLOCK_LIMIT:
            raise Unreadable(Reason.NOT_MAIL, f"the header has no end within {HEADER_BLOCK_LIMIT} bytes")
        head = BytesHeaderParser(_class=EmailMessage, policy=POLICY).parsebytes(body[: block.end()] if block else body)
        assert isinstance(head, EmailMessage)
        try:
            # Each part costs the parser about 0.1 ms, and a 25 MB mail can hold four million of them.
            boundaries = body.count(b"\n--") + body.count(b"\r--")
            if head.get_content_maintype() in ("multipart", "message") and boundaries > PART_LIMIT:
                self.note("too-many-parts")
                return head
            whole = BytesParser(_class=EmailMessage, policy=POLICY).parsebytes(body)
            assert isinstance(whole, EmailMessage)
            return whole
        except PARSER_ERRORS as error:
            self.note("nested-too-deep" if isinstance(error, RecursionError) else "structure-unreadable")
            return head

    def note(self, defect: str) -> None:
        """Remember what was wrong, once."""
        if defect not in self.defects and len(self.defects) < DEFECT_LIMIT:
            self.defects.append(defect)

    def source(self, name: str) -> str:
        """The first header of that name as it was sent, unfolded; empty when there is none."""
        return source(self.message, name)

    def header(self, name: str) -> str:
        """The first header of that name, decoded to text; empty when there is none."""
        try:
            value = self.message.get(name)
            return clean(_FOLD.sub(" ", str(value))).strip() if value is not None else ""
        except PARSER_ERRORS:
            self.note(f"{name}-unreadable")
            return clean(self.source(name))

    def mailboxes(self, name: str) -> list[Mailbox]:
        """The addresses in all headers of that name; what can't be parsed is searched for address-like words."""
        found: list[Mailbox] = []
        for raw in _raw(self.message, name):
            parsed = _parsed(name, raw)
            if not parsed and "@" in raw:
                self.note(f"{name}-unclear")
                words = _ADDRESS.findall(_as_utf_8(raw))
                parsed = [Mailbox(normal, word) for word in words if (normal := address(word))]
            found += parsed
        return list(dict.fromkeys(found))


def _parsed(name: str, raw: str) -> list[Mailbox]:
    try:
        header = POLICY.header_fetch_parse(name, raw)
        given = [(clean(str(entry.addr_spec)), str(entry)) for entry in getattr(header, "addresses", ())]
    except PARSER_ERRORS:
        return []
    # "A B a@example.com" is parsed into the address "a b a"@example.com.
    given = [(spec, full) for spec, full in given if '"' in raw or not re.search(r"\s", spec)]
    return [Mailbox(normal, clean(full)[:500]) for spec, full in given if (normal := address(spec))]


def _word(name: str) -> str:
    """``NoBoundaryInMultipartDefect`` as ``no-boundary-in-multipart``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.removesuffix("Defect")).lower()


def _raw(message: Message, name: str) -> list[str]:
    """The first headers of that name with their folds; bytes above 127 are surrogates. Some senders repeat headers."""
    found = [str(raw)[:HEADER_LIMIT] for key, raw in message.raw_items() if key.lower() == name]
    return found[:_REPEAT_LIMIT]


def _as_utf_8(raw: str) -> str:
    """What the parser could not read as ASCII, read as UTF-8."""
    return clean(raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def sources(message: Message, name: str) -> list[str]:
    """The headers of that name as they were sent, unfolded by dropping line ends and the white space after them.

    White space goes too because mailers fold long Message-IDs in the middle. Bytes above 127 are read as UTF-8.
    """
    return [_FOLD.sub("", _as_utf_8(raw)) for raw in _raw(message, name)]


def source(message: Message, name: str) -> str:
    """The first of ``sources``; empty when there is none."""
    return next(iter(sources(message, name)), "")


def address(given: str) -> str | None:
    """A mail address as it is compared, or None for what is none.

    The whole address is lower-cased and the domain put into its ASCII (IDNA) form. RFC 5321 lets a host tell local
    parts apart by case; none in use does, and one person's mail comes in both spellings, so every adapter that names
    a mail address lower-cases it. Dots and plus tags stay: they are a provider's rule and no fact.
    """
    local, at, domain = given.strip().rpartition("@")
    domain = domain.rstrip(".").casefold()
    if not at or not local or not domain or len(given) > 320 or re.search(r"\s", domain):
        return None
    with contextlib.suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii").lower()
    return f"{local.lower()}@{domain}"


def clean(text: str) -> str:
    """Text that UTF-8 and PostgreSQL can hold: lone surrogates and NUL become U+FFFD."""
    return _NOT_TEXT.sub("\ufffd", text)


def content_type(part: Message) -> str:
    """The media type in lower case; ``application/octet-stream`` when it can't be read."""
    try:
        return str(part.get_content_type())
    except PARSER_ERRORS:
        return "application/octet-stream"


def inner(part: Message) -> list[Message]:
    """The messages that a part holds: the parts of a multipart, the one that is attached, a report's groups."""
    # get_payload() alone would decode a text, and fails on some charsets.
    held = part.get_payload() if part.is_multipart() else []
    return [one for one in held if isinstance(one, Message)] if isinstance(held, list) else []


def children(part: Message) -> list[Message]:
    """The parts of a multipart; none for anything else. An attached message counts as one part, not as its parts."""
    return [] if content_type(part).startswith("message/") else inner(part)


def leaves(message: Message) -> Iterator[Message]:
    """The message and every part of it, outermost first, without those of attached messages."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += reversed(children(part))


def payload(part: Message) -> bytes:
    """The bytes of a part with its transfer encoding undone, as far as that can be; none for a multipart."""
    try:
        decoded = part.get_payload(decode=True)
    except PARSER_ERRORS:
        return b""
    return decoded if isinstance(decoded, bytes) else b""


def decoded(part: Message, mail: Mail, limit: int) -> str:
    """At most ``limit`` characters of a text part. An unknown charset is read as UTF-8 with replacement, and noted."""
    try:
        name = part.get_content_charset("utf-8") or "utf-8"
    except PARSER_ERRORS:
        name = "unreadable"
    data = payload(part)[: limit * 4]
    for charset in (CHARSETS.get(name, name), "utf-8"):
        try:
            text = data.decode(charset, "replace")
        except (LookupError, ValueError):
            mail.note("unknown-charset")
        else:
            if "\ufffd" in text:
                mail.note("undecodable-text")
            return clean(text[:limit]).replace("\r\n", "\n").replace("\r", "\n")
    raise AssertionError("UTF-8 with replacement decodes anything")
