"""The read models made anew from the output topics, by COPY into tables beside those that are read.

They show what was published: the records of the topics, the first of each id and the newest version of each ticket.
What retention removed from a topic is no longer published anywhere; the rules give it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from hub.verify.fingerprint import Output
from hub.verify.log import Log, Refused
from projections.contacts import store as contacts
from projections.rebuilding.store import SCHEMA
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from schemas.codec import Codec, NotDecodable
from schemas.records import SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from streams.casework import CaseworkTopics

if TYPE_CHECKING:
    from projections.postgres import Connection

COPIED = 5000  # rows of one COPY


class Tables:
    """Fills the new tables. ``rows`` and ``seconds``: what COPY has written so far, and the time it took.

    PostgreSQL takes one COPY while the records of the next are read and decoded.
    """

    def __init__(self, connection: Connection, codec: Codec, topics: CaseworkTopics) -> None:
        self.rows = 0
        self.seconds = 0.0
        self.positions: dict[tuple[str, int], int] = {}
        self._connection = connection
        self._codec = codec
        self._topics = topics
        self._kinds: dict[str, type[Output]] = {
            topics.entries: TimelineEntryAdded,
            topics.tickets: TicketChanged,
            topics.verdicts: SlaVerdictIssued,
        }
        self._ids = set[int]()
        self._entries: list[TimelineEntryAdded] = []
        self._verdicts: list[SlaVerdictIssued] = []
        self._copying: asyncio.Task[None] | None = None

    async def add(self, outputs: Sequence[Output]) -> None:
        """Take entries and verdicts of a partition in the order in which they were published, before its topics."""
        for output in outputs:
            match output:
                case TimelineEntryAdded():
                    self._note(output, self._entries)
                case SlaVerdictIssued():
                    self._note(output, self._verdicts)
        await self._copy(COPIED)

    def _note(self, output: Output, among: list[TimelineEntryAdded] | list[SlaVerdictIssued]) -> None:
        number = int(output.id.replace("-", ""), 16)
        if number not in self._ids:
            self._ids.add(number)
            among.append(output)  # type: ignore[arg-type]  # a list of the class that the caller matched

    async def read(self, log: Log, partition: int) -> None:
        """Copy what stands on a partition's topics, to the ends they have now."""
        for topic in (self._topics.entries, self._topics.verdicts):
            span = await log.span(topic, partition)
            async for records in log.read(topic, partition, *span):
                await self.add([self._decoded(topic, partition, each.offset, each.value) for each in records])
            self.positions[topic, partition] = span.end
        await self._copy(1)
        await self._settled()
        self._ids.clear()
        await self._read_tickets(log, partition)

    async def _read_tickets(self, log: Log, partition: int) -> None:
        topic = self._topics.tickets
        span = await log.span(topic, partition)
        newest: dict[str, tuple[int, bytes]] = {}
        async for records in log.read(topic, partition, *span):
            for record in records:
                found = self._decoded(topic, partition, record.offset, record.value)
                assert isinstance(found, TicketChanged)
                if found.id not in newest or newest[found.id][0] < found.version:
                    newest[found.id] = (found.version, record.value or b"")
        values = [value for _, value in newest.values()]
        for begin in range(0, len(values), COPIED):
            chunk = [self._codec.decode(value) for value in values[begin : begin + COPIED]]
            found_tickets = [each for each in chunk if isinstance(each, TicketChanged)]
            await self._begin(tickets.copy(self._connection, SCHEMA, found_tickets), len(found_tickets))
        await self._settled()
        self.positions[topic, partition] = span.end

    async def measure(self) -> None:
        """Measure calls and chats anew, once the entries of all partitions are there."""
        began = time.monotonic()
        async with self._connection.transaction():
            self.rows += await contacts.copy(self._connection, SCHEMA)
        self.seconds += time.monotonic() - began

    def _decoded(self, topic: str, partition: int, offset: int, value: bytes | None) -> Output:
        try:
            found = self._codec.decode(value or b"")
        except NotDecodable as error:
            raise Refused(f"{topic}/{partition} offset {offset} can't be decoded: {error}") from error
        if type(found) is not self._kinds[topic]:
            raise Refused(
                f"{topic}/{partition} offset {offset} is a {type(found).__name__}, which nothing writes there"
            )
        return found

    async def _copy(self, least: int) -> None:
        if len(self._entries) >= least:
            entries, self._entries = self._entries, []
            await self._begin(timeline.copy(self._connection, SCHEMA, entries), len(entries))
        if len(self._verdicts) >= least:
            issued, self._verdicts = self._verdicts, []
            await self._begin(verdicts.copy(self._connection, SCHEMA, issued), len(issued))

    async def _begin(self, copying: Awaitable[None], rows: int) -> None:
        """Wait for the COPY under way and begin this one."""

        async def copy() -> None:
            began = time.monotonic()
            await copying
            self.rows += rows
            self.seconds += time.monotonic() - began

        await self._settled()
        self._copying = asyncio.create_task(copy())

    async def _settled(self) -> None:
        """Wait for the COPY under way; raises what it raised."""
        under_way, self._copying = self._copying, None
        if under_way is not None:
            await under_way
