"""One partition of one output topic against what the rules give, told one output after the other in their order.

The topic is read first, as fingerprints; so what is missing is known, with its words, in the moment the rules give it.
Outputs come in the order of the log, and the first writing of each stands on the topic in that order: what retention
removed is thus what the rules give before the first output that is found. A compacted topic keeps the newest record of
each key; of the older ones no more may be missing than offsets are.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from hub.verify.findings import Findings, Named
from hub.verify.fingerprint import Forms, fingerprint, header_of, name_of
from hub.verify.log import Log, Span
from runtime.appending import Item
from schemas.records import TicketChanged
from streams.casework import STAGE

PROJECTED, ALERTED, FOLDED = 1, 2, 4


@dataclass(slots=True)
class Published:
    """What stands on a partition. ``seen``: fingerprint to flags: below the position of the projector or of alerts,
    given by the rules. ``removed``: the flags of what retention removed; ``repeated``: records that came again, equal.
    """

    topic: str
    partition: int
    span: Span
    removed: int = 0
    seen: dict[int, int] = field(default_factory=dict)
    records: int = 0
    repeated: int = 0

    @property
    def holes(self) -> int:
        """Offsets at which nothing stands any more."""
        return self.span.end - self.records


async def published(log: Log, forms: Forms, topic: str, partition: int, projected: int, alerted: int) -> Published:
    """Read a partition of an output topic. ``projected`` and ``alerted``: the next offsets of these readers."""
    removed = (projected > 0) * PROJECTED + (alerted > 0) * ALERTED
    found = Published(topic, partition, await log.span(topic, partition), removed)
    async for records in log.read(topic, partition, *found.span):
        found.records += len(records)
        for record in records:
            mark = fingerprint(record.key, forms.written(record.value))
            if mark in found.seen:
                found.repeated += 1
            else:
                found.seen[mark] = (record.offset < projected) * PROJECTED + (record.offset < alerted) * ALERTED
    return found


async def letters(log: Log, topic: str, partition: int) -> Published:
    """Read casework's letters of a partition of the dead letters. They are one by their id, not by what is in them."""
    found = Published(topic, partition, await log.span(topic, partition))
    async for records in log.read(topic, partition, *found.span):
        found.records += len(records)
        for record in records:
            if header_of(record, "stage") != STAGE:
                continue
            mark = fingerprint(header_of(record, "id").encode() + (record.key or b""), record.value)
            found.repeated += mark in found.seen
            found.seen.setdefault(mark, 0)
    return found


class Outputs:
    """The comparison of one partition of one topic, and of the table that is made of it.

    ``rows``: the table's rows of this partition, None where no table is made of it. What is found there is removed.
    """

    def __init__(
        self, found: Published, forms: Forms, rows: dict[int, bytes] | None, *, compacted: bool = False
    ) -> None:
        self.found = found
        self.rows = rows
        self.removed = 0
        self._count = len(rows or ())
        self._forms = forms
        self._compacted = compacted
        self._gone = found.span.begin > 0 and not compacted
        self._lost = Named()
        self._unwritten = Named()
        self._unsure: dict[bytes, tuple[str, int]] = {}
        self._compacted_away = 0
        self._newest: dict[bytes, Item] = {}
        self._since: dict[bytes, list[Item]] = {}
        self._settled = set[bytes]()

    def told(self, item: Item, required: bool) -> int:
        """The rules give ``item``; ``required``: it has to be there by now. Returns the flags of where it stands."""
        letter = dict(item.headers).get("id", b"")
        mark = fingerprint(letter + (item.key or b"") if letter else item.key, item.value)
        flags = self.found.seen.get(mark)
        if flags is None:
            return self._not_seen(item, letter, required)
        self._gone = False
        self.found.seen[mark] = flags | FOLDED
        if self._compacted:
            self._kept(item, flags)
        elif flags & PROJECTED:
            self._row(item, mark)
        return flags

    def _not_seen(self, item: Item, letter: bytes, required: bool) -> int:
        if self._gone:
            self.removed += 1
            if self.found.removed & PROJECTED:
                self._row(item, fingerprint(item.key, item.value))
            return self.found.removed
        if self._compacted:
            key = item.key or b""
            if required and self.found.holes:
                self._unsure[key] = (self._name(item, letter), self._unsure.get(key, ("", 0))[1] + 1)
            elif required:
                self._is_lost(self._name(item, letter))
            if key in self._newest and key not in self._settled:
                self._since.setdefault(key, []).append(item)
        elif required:
            self._is_lost(self._name(item, letter))
        return 0

    def _is_lost(self, name: str) -> None:
        self._lost.add(name, f"{self._where}: {name} is missing")

    def _kept(self, item: Item, flags: int) -> None:
        """A compacted topic has this version: the ones before it may be gone."""
        key = item.key or b""
        self._compacted_away += self._unsure.pop(key, ("", 0))[1]
        if flags & PROJECTED:
            self._newest[key] = item
            self._since.pop(key, None)
        else:
            self._settled.add(key)

    def _row(self, item: Item, mark: int) -> None:
        """A row has to stand for this output."""
        if self.rows is None or self.rows.pop(mark, None) is not None:
            return
        output = self._forms.read(item.value)
        if output is not None and self.rows.pop(self._forms.stored(output), None) is None:
            self._unwritten.add(output.id, f"{self._where}: {output.id} has no row")

    @property
    def _where(self) -> str:
        return f"{self.found.topic}/{self.found.partition}"

    def _name(self, item: Item, letter: bytes) -> str:
        output = None if letter else self._forms.read(item.value)
        return letter.decode() if output is None else name_of(output)

    async def conclude(self, log: Log, table: str, findings: Findings) -> None:
        """Say what is missing, what nothing asks for, and what differs."""
        for name, count in self._unsure.values():
            self._is_lost(name)
            self._compacted_away += count - 1
        over = self._compacted_away - self.found.holes
        if over > 0:
            words = f"{over} older versions more are missing than records were compacted away"
            findings.add("lost", [f"{self._where}: {words}"], over - 1)
        extra = await self._extra(log)
        findings.pair(self._lost, extra)
        findings.repeated[self.found.topic] += self.found.repeated
        findings.compared[self.found.topic] += len(self.found.seen)
        if self.removed:
            findings.notes.append(f"{self._where}: {self.removed} outputs are no longer kept on the topic")
        if self.rows is not None:
            self._conclude_rows(table, findings)

    async def _extra(self, log: Log) -> Named:
        """What stands on the topic and is not given by the rules; named as what it replaces where it does."""
        extra = Named()
        unknown = {mark for mark, flags in self.found.seen.items() if not flags & FOLDED}
        if not unknown:
            return extra
        known = set[str]()
        is_letters = self.rows is None
        async for records in log.read(self.found.topic, self.found.partition, *self.found.span):
            for record in records:
                letter = header_of(record, "id") if is_letters else ""
                if is_letters and header_of(record, "stage") != STAGE:
                    continue
                key = letter.encode() + (record.key or b"") if letter else record.key
                name = letter or self._name(Item(record.key, record.value), b"")
                mark = fingerprint(key, record.value if is_letters else self._forms.written(record.value))
                where = f"{self._where} offset {record.offset}"
                if mark not in unknown:
                    known.add(name)
                elif name in self._lost.found:
                    extra.add(name, f"{where}: {name} says something else than the rules")
                else:
                    extra.add(name, f"{where}: nothing asks for {name}")
        for name in known & extra.found.keys():
            self._lost.add(name, "")
            extra.found[name] = f"{extra.found[name].partition(': ')[0]}: {name} stands there twice, and differs"
        return extra

    def _conclude_rows(self, table: str, findings: Findings) -> None:
        assert self.rows is not None
        for key, item in self._newest.items():
            for each in (item, *self._since.get(key, ())):
                mark = fingerprint(each.key, each.value)
                if self.rows.pop(mark, None) is not None:
                    break
                output = self._forms.read(each.value)
                if isinstance(output, TicketChanged) and self.rows.pop(self._forms.stored(output), None) is not None:
                    break
            else:
                name = key.decode()
                self._unwritten.add(name, f"{table}: {name} is missing")
        rows = Named()
        for row in (str(uuid.UUID(bytes=each)) for each in self.rows.values()):
            known = row in self._unwritten.found
            words = "says something else than its topic" if known else "stands for nothing on its topic"
            rows.add(row, f"{table}: {row} {words}")
        for name in self._unwritten.found:
            self._unwritten.found[name] = f"{table}: {name} is missing"
        findings.pair(self._unwritten, rows)
        findings.compared[table] += self._count
