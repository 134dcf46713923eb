"""What can't go on keeps its original bytes, with what is wrong, where it came from, and an id that is the same on
each attempt.
"""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from runtime import metrics
from runtime.appending import Item


def dead_letter(stage: str, record: ConsumerRecord, reason: str, detail: str, topic: str) -> Item:
    """The dead letter of a record of ``topic``; ``reason`` is from a closed set, ``detail`` is for a person."""
    metrics.dead_letters.labels(stage, reason).inc()
    place = f"{topic}/{record.partition}"
    headers = [
        ("id", f"{place}/{record.offset}/{stage}".encode()),
        ("reason", reason.encode()),
        ("detail", detail[:2000].encode()),
        ("stage", stage.encode()),
        ("source", place.encode()),
        ("source_offset", str(record.offset).encode()),
    ]
    return Item(record.key, record.value, headers)
