"""Sixteen bytes that stand for a record, so that millions of them fit in memory: about 100 bytes each in a dict.

Two records have the same fingerprint when they have the same key and the same bytes. Where bytes may differ and yet say
the same (another version's schema, the character that PostgreSQL can't store, the order of a table's rows), the record
is read and written again in the one form that is compared: see ``Forms``.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from aiokafka.structs import ConsumerRecord

from projections.values import as_json
from schemas.codec import Codec, NotDecodable
from schemas.records import Clock, SlaVerdictIssued, TicketChanged, TimelineEntryAdded

SIZE = 16
Output = TimelineEntryAdded | TicketChanged | SlaVerdictIssued


def fingerprint(key: bytes | None, value: bytes | None) -> int:
    """Of a record's key and value."""
    first = key or b""
    data = b"%d %b%b" % (len(first), first, value or b"")
    return int.from_bytes(blake2b(data, digest_size=SIZE).digest(), "big")


def packed(number: int) -> bytes:
    """A fingerprint as bytes."""
    return number.to_bytes(SIZE, "big")


def in_order(clocks: list[Clock]) -> list[Clock]:
    """Clocks in the one order in which a ticket's are compared."""
    return sorted(clocks, key=lambda clock: (clock.metric, clock.cycle))


def key_of(output: Output) -> bytes:
    """The key that casework gives an output."""
    match output:
        case TimelineEntryAdded():
            return output.customer.encode()
        case TicketChanged():
            return output.id.encode()
        case SlaVerdictIssued():
            return output.ticket.encode()


def name_of(output: Output) -> str:
    """What makes two outputs of a topic the same one."""
    return f"{output.id}/{output.version}" if isinstance(output, TicketChanged) else output.id


def header_of(record: ConsumerRecord, name: str) -> str:
    """The value of a header, empty if there is none."""
    return next((value.decode(errors="replace") for each, value in record.headers if each == name), "")


class Forms:
    """The forms that outputs have as bytes. ``codec``: what this deployment writes with."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        empty = (
            TimelineEntryAdded("", "", "", "", 0, "", "", "", 0, 0, "", ""),
            TicketChanged("", "", "", 0, "", "", "", 0, 0, ""),
            SlaVerdictIssued("", "", "", "", "", 0, "", 0, 0, 0, 0, 0, 0, "", 0, "", "", "", ""),
        )
        self._current = {codec.encode(each)[:5] for each in empty}

    def read(self, value: bytes | None) -> Output | None:
        """The output in a record; None where there is none."""
        try:
            found = self.codec.decode(value or b"")
        except NotDecodable:
            return None
        return found if isinstance(found, TimelineEntryAdded | TicketChanged | SlaVerdictIssued) else None

    def written(self, value: bytes | None) -> bytes | None:
        """The bytes as they are where today's schema wrote them, else as it would write them."""
        if value is None or value[:5] in self._current:
            return value
        found = self.read(value)
        return value if found is None else self.codec.encode(found)

    def stored(self, output: Output) -> int:
        """The fingerprint of an output as a table gives it back: without U+0000, and clocks in one order."""
        plain = msgspec.json.decode(as_json(output), type=type(output))
        if isinstance(plain, TicketChanged):
            plain = msgspec.structs.replace(plain, clocks=in_order(plain.clocks))
        return fingerprint(key_of(plain), self.codec.encode(plain))
