"""What can't go on keeps its original bytes, with what is wrong, where it came from, and an id that is the same on
each attempt. A letter that is put back names its id in a header, so that it is taken once, however often it comes.
"""

from __future__ import annotations

import re

from aiokafka.structs import ConsumerRecord

from runtime.appending import Item
from runtime.letter_limit import REASON

RETRY_OF = "retry_of"
_LETTER = re.compile(r"[A-Za-z0-9._-]{1,249}/\d{1,9}/\d{1,19}/(identity|casework)")


def retried(record: ConsumerRecord) -> str | None:
    """The letter that a record was put back from; None for any other record, whatever somebody wrote in the header."""
    for name, value in record.headers:
        if name == RETRY_OF and len(value) < 300:
            letter = value.decode("ascii", errors="replace")
            return letter if _LETTER.fullmatch(letter) else None
    return None


def dead_letter(stage: str, record: ConsumerRecord, reason: str, detail: str, topic: str) -> Item:
    """The dead letter of a record of ``topic``; ``reason`` is from a closed set, ``detail`` is for a person."""
    place = f"{topic}/{record.partition}"
    headers = [
        ("id", f"{place}/{record.offset}/{stage}".encode()),
        (REASON, reason.encode()),
        ("detail", detail[:2000].encode()),
        ("stage", stage.encode()),
        ("source", place.encode()),
        ("source_offset", str(record.offset).encode()),
    ]
    return Item(record.key, record.value, headers)
