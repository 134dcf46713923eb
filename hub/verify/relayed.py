"""Whether every received record reached casework's log, once, in its customer's partition, as it was decided.

The decisions are read in one snapshot of the database, beside the received records that Kafka still keeps. Of each that
asks for a place on the log 28 bytes are held until its partition is compared.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from aiokafka.structs import ConsumerRecord

from hub.verify.expected import origin
from hub.verify.findings import Findings, Named
from hub.verify.fingerprint import fingerprint, header_of, packed
from hub.verify.log import Log, Span
from projections.audit import store as audit
from projections.identity.store import RETRIED_BEFORE
from schemas.codec import Codec, NotDecodable
from schemas.records import InteractionReceived
from streams.identity import DECIDED_BY, STAGE, partition_of

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_PLACE = struct.Struct(">IQ16s")
_PAGE = 5000
TAKEN = -1


class Relayed:
    """``topic``: the received records; ``spans``: what is kept of them; ``committed``: where the identity stage stood
    before anything else was read: everything below has to be where it belongs."""

    def __init__(self, codec: Codec, topic: str, spans: dict[int, Span], committed: dict[int, int]) -> None:
        self._codec = codec
        self._topic = topic
        self._spans = spans
        self._committed = committed
        self._partitions = len(spans)
        self._asked = [bytearray() for _ in spans]
        self._letters = set[str]()

    async def read_letters(self, log: Log, topic: str, findings: Findings) -> None:
        """Read the dead letters of the identity stage. To be called before ``ask``."""
        for partition in range(await log.partitions(topic)):
            async for records in log.read(topic, partition, *await log.span(topic, partition)):
                found = (header_of(record, "id") for record in records if header_of(record, "stage") == STAGE)
                self._letters.update(found)
        findings.compared["dead letters of identity"] += len(self._letters)

    async def ask(self, connection: Connection, log: Log, wanted: Sequence[int], findings: Findings) -> None:
        """Read the decisions and the received records, and note what has to be where."""
        for partition, span in self._spans.items():
            rows = self._decisions(connection, partition)
            row = await anext(rows, None)
            end = min(self._committed.get(partition, 0), span.end)
            async for records in log.read(self._topic, partition, span.begin, end):
                for record in records:
                    while row is not None and row["source_offset"] < record.offset:
                        self._ask(partition, row, None, wanted, findings)
                        row = await anext(rows, None)
                    if row is not None and row["source_offset"] == record.offset:
                        self._ask(partition, row, record, wanted, findings)
                        row = await anext(rows, None)
                    else:
                        self._ends_as_letter(partition, record.offset, findings)
                    findings.compared["received"] += 1
            while row is not None and row["source_offset"] < end:
                self._ask(partition, row, None, wanted, findings)
                row = await anext(rows, None)
            await rows.aclose()
        twice = await audit.given_twice(connection, 1000)
        findings.add("doubled", (f"event {event}: was given to more than one customer" for event in twice))

    async def _decisions(self, connection: Connection, partition: int) -> AsyncGenerator[asyncpg.Record]:
        last = -1
        while rows := await audit.decisions_of(connection, f"{self._topic}/{partition}", last, _PAGE):
            for row in rows:
                yield row
            last = rows[-1]["source_offset"]

    def _letter(self, partition: int, offset: int) -> str:
        return f"{self._topic}/{partition}/{offset}/{STAGE}"

    def _ends_as_letter(self, partition: int, offset: int, findings: Findings) -> None:
        letter = self._letter(partition, offset)
        if letter not in self._letters:
            findings.add("lost", [f"{letter}: has neither a decision nor a dead letter"])

    def _ask(
        self,
        partition: int,
        row: asyncpg.Record,
        record: ConsumerRecord | None,
        wanted: Sequence[int],
        findings: Findings,
    ) -> None:
        offset: int = row["source_offset"]
        findings.compared["decisions"] += 1
        value = self._value(partition, row, record, findings)
        if row["customer"] is not None:
            target = partition_of(row["customer"], self._partitions)
            if target in wanted:
                mark = _mark(partition, offset, row["customer"].encode(), row["contact_point"] or "", value)
                self._asked[target] += _PLACE.pack(partition, offset, packed(mark))
        elif row["version"] is not None:
            mark = _mark(partition, offset, b"", str(row["version"]), None)
            for target in wanted:
                self._asked[target] += _PLACE.pack(partition, offset, packed(mark))
        elif row["reason"] != RETRIED_BEFORE:
            if record is not None:
                self._ends_as_letter(partition, offset, findings)
            return
        if self._letter(partition, offset) in self._letters:
            letter = self._letter(partition, offset)
            findings.add("doubled", [f"{letter}: is a dead letter, and was decided to go on as well"])

    def _value(
        self, partition: int, row: asyncpg.Record, record: ConsumerRecord | None, findings: Findings
    ) -> bytes | None:
        """The bytes that a received record has on the log; None where they can't be known."""
        if record is None:
            return None
        where = f"{self._topic}/{partition} offset {record.offset}"
        try:
            event = self._codec.decode(record.value or b"")
        except NotDecodable as error:
            if error.reason == "unknown-schema":  # known to a registry only: casework's log has it in today's schema
                return None
            event = None
        if not isinstance(event, InteractionReceived) or event.id != row["event"]:
            findings.add("different", [f"{where}: the decision names event {row['event']}, which does not stand there"])
        value: bytes | None = record.value
        return value

    def take(self, partition: int) -> Asked:
        """What has to stand on a partition of the log; it is forgotten here."""
        held, self._asked[partition] = bytes(self._asked[partition]), bytearray()
        return Asked(self._codec, self._topic, self._spans, self._committed, held)


def _mark(source: int, offset: int, key: bytes, said: str, value: bytes | None) -> int:
    """The fingerprint of a record's place on the log, with its bytes where they are known."""
    place = b"%d/%d/%b/%b" % (source, offset, key, said.encode())
    return fingerprint(place, value)


class Asked:
    """What has to stand on one partition of the log, compared with what does, record by record."""

    def __init__(
        self, codec: Codec, topic: str, spans: dict[int, Span], committed: dict[int, int], places: bytes
    ) -> None:
        self._codec = codec
        self._prefix = f"{topic}/"
        self._spans = spans
        self._committed = committed
        self._places = {int.from_bytes(mark, "big"): part << 48 | at for part, at, mark in _PLACE.iter_unpack(places)}
        self._wrong = Named()

    def take(self, record: ConsumerRecord, accepted: bool) -> None:
        """A record of the log; ``accepted``: casework takes it, since it stands above what its source had before."""
        place = origin(record)
        if place is None or not place[0].startswith(self._prefix):
            return
        number, offset = int(place[0].removeprefix(self._prefix)), place[1]
        if offset >= self._committed.get(number, 0):
            return
        mark = self._mark_of(record, number, offset)
        if mark not in self._places:
            where = f"{record.topic}/{record.partition} offset {record.offset}"
            self._wrong.add(f"{number}/{offset}", f"{where}: is not what was decided for {place[0]} offset {offset}")
        elif accepted:
            self._places[mark] = TAKEN

    def _mark_of(self, record: ConsumerRecord, number: int, offset: int) -> int:
        value = record.value or b""
        said, key = header_of(record, DECIDED_BY), record.key or b""
        if record.key is None:
            try:
                published = self._codec.decode(value)
            except NotDecodable:
                published = None
            return _mark(number, offset, b"", str(getattr(published, "version", "")), None)
        with_value = _mark(number, offset, key, said, value)
        if with_value in self._places:
            return with_value
        return _mark(number, offset, key, said, None)

    def conclude(self, where: str, findings: Findings) -> None:
        """Say what never came."""
        missing = Named()
        for place in self._places.values():
            number, offset = place >> 48, place & (1 << 48) - 1
            if place != TAKEN:
                missing.add(f"{number}/{offset}", f"{where}: {self._prefix}{number} offset {offset} was never taken")
        findings.pair(missing, self._wrong)
        findings.compared["relayed"] += len(self._places)
