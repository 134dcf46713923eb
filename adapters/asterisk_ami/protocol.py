"""Bytes of the Asterisk Manager Interface (AMI) to messages and back. It knows lines and blocks, not what they mean.

A message is a block of ``Name: value`` lines that ends with an empty line; names repeat, so their order is kept. Before
version 14 Asterisk answered a command with free text after ``Response: Follows``, closed by ``--END COMMAND--``.
Source: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/ and captured sessions.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from domain.errors import Reason, Unreadable

BANNER = "Asterisk Call Manager/"
LINE_LIMIT = 64 * 1024
BLOCK_LIMIT = 1024 * 1024

_END_OF_OUTPUT = "--END COMMAND--"
# The only names that stand between ``Response: Follows`` and the free text; text may well contain colons.
_BEFORE_OUTPUT = frozenset({"privilege", "actionid", "message", "timestamp"})
# What Asterisk writes where it has nothing to say.
_NOTHING = frozenset({"<unknown>", "<null>", "<none>", "(null)"})


class Message(msgspec.Struct, frozen=True):
    """One block. ``fields`` in the order they came, ``raw`` its bytes, ``output`` the text that answers a command."""

    fields: tuple[tuple[str, str], ...]
    raw: bytes
    output: tuple[str, ...] = ()
    first: dict[str, str] = {}

    def get(self, *names: str) -> str:
        """The first of these fields that says something, whatever the case of its name; else the empty string.

        Asterisk itself mixes the case: ``Uniqueid`` in most events, ``UniqueID`` in those of CEL.
        """
        for name in names:
            value = self.first.get(name.lower(), "")
            if value and value not in _NOTHING:
                return value
        return ""


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block for the wire. Raises ``ValueError`` for a name or value that would begin another line."""
    lines = []
    for name, value in fields:
        if any(mark in name + value for mark in "\r\n"):
            raise ValueError(f"the AMI field {name!r} can't hold a line break: take it out of the value")
        lines.append(f"{name}: {value}\r\n")
    return "".join([*lines, "\r\n"]).encode()


class MessageParser:
    """Reads a stream piece by piece; how it is cut into pieces makes no difference to the messages.

    ``banner`` is the greeting's line once it has come. ``broken`` is set when a line or block has no end in sight:
    nothing more is read then, and ``rest`` holds what could not be.
    """

    def __init__(self, line_limit: int = LINE_LIMIT, block_limit: int = BLOCK_LIMIT) -> None:
        self.banner = ""
        self.broken: Unreadable | None = None
        self._line_limit = line_limit
        self._block_limit = block_limit
        self._unread = bytearray()
        self._searched = 0
        self._begin_block()

    def _begin_block(self) -> None:
        self._raw = bytearray()
        self._fields: list[tuple[str, str]] = []
        self._output: list[str] = []
        self._follows = False
        self._ended = False

    @property
    def rest(self) -> bytes:
        """The bytes of the message that is not complete; empty between two messages."""
        return bytes(self._raw) + bytes(self._unread)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete, in order."""
        self._unread += data
        done: list[Message] = []
        begin = 0
        while self.broken is None:
            end = self._unread.find(b"\n", max(begin, self._searched))
            if end < 0:
                self._searched = len(self._unread)
                if len(self._unread) - begin > self._line_limit:
                    self._break_off("line", self._line_limit)
                break
            if end - begin > self._line_limit:
                self._break_off("line", self._line_limit)
                break
            if len(self._raw) + end - begin > self._block_limit:
                self._break_off("block", self._block_limit)
                break
            message = self._line(bytes(self._unread[begin : end + 1]))
            begin = end + 1
            if message is not None:
                done.append(message)
        del self._unread[:begin]
        self._searched = max(0, self._searched - begin)
        return done

    def _break_off(self, what: str, limit: int) -> None:
        self.broken = Unreadable(
            Reason.TOO_LARGE, f"a {what} of more than {limit} bytes: is the peer an Asterisk manager interface?", "AMI"
        )

    def _line(self, raw: bytes) -> Message | None:
        line = _text(raw.rstrip(b"\r\n"))
        if not self._raw and line.startswith(BANNER):
            self.banner = line
            return None
        if not self._raw and not line.strip():
            return None  # an empty line between two blocks
        if not line and (self._ended or not self._follows):
            return self._complete(raw)
        self._raw += raw
        if self._ended:
            self._ended = False  # the mark stood in the text itself
        if self._follows and self._is_output(line):
            if line.endswith(_END_OF_OUTPUT):
                self._ended = True
                line = line.removesuffix(_END_OF_OUTPUT)
            if line or not self._ended:
                self._output.append(line)
            return None
        name, colon, value = line.partition(":")
        self._fields.append((name.strip(), value.strip()) if colon else ("", line))
        if len(self._fields) == 1 and name.lower() == "response" and value.strip() == "Follows":
            self._follows = True
        return None

    def _is_output(self, line: str) -> bool:
        return bool(self._output) or line.partition(":")[0].lower() not in _BEFORE_OUTPUT

    def _complete(self, raw: bytes) -> Message:
        first: dict[str, str] = {}
        for name, value in self._fields:
            first.setdefault(name.lower(), value)
        message = Message(tuple(self._fields), bytes(self._raw + raw), tuple(self._output), first)
        self._begin_block()
        return message


def _text(line: bytes) -> str:
    """Caller names come as the phone sent them, so not every line is UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
