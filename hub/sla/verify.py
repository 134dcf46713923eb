"""``hub sla verify``: verdicts recomputed from the log, compared with those that were published, and each by itself.

It is the verdicts' part of ``hub verify``, by the same fold and the same comparison, with every difference in words:
which field says what, and what it should say. It changes nothing, and everything may go on meanwhile.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console

from domain.business_time import Calendar
from domain.recheck import MEANINGS, recheck
from hub.sla.period import EVER, Period
from hub.sla.running import held_of
from hub.verify.command import SHOWN, check_partitions
from hub.verify.findings import Findings
from hub.verify.fingerprint import Forms, fingerprint, key_of
from hub.verify.log import Log, open_log
from hub.verify.outputs import FOLDED, PROJECTED, Outputs, published
from hub.verify.partition import Hub
from hub.verify.refold import Refold
from hub.verify.rows import Places, Rows, pages
from hub.wiring import casework_topics, codec_for, collect_seldom
from projections.audit import store as audit
from projections.postgres import connect
from projections.tickets import store as tickets
from projections.verdicts import store as verdicts
from runtime.appending import Item
from runtime.settings import Settings
from schemas.records import SlaVerdictIssued
from streams.identity import partition_of

KEPT = 10_000
UNFOUNDED = "unfounded"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which verdicts are looked at: those of a tenant, of a ticket, judged within a period; empty: all."""

    tenant: str = ""
    ticket: str = ""
    period: Period = EVER

    def holds(self, verdict: SlaVerdictIssued) -> bool:
        """Whether a verdict is one of them."""
        return (
            self.tenant in ("", verdict.tenant)
            and self.ticket in ("", verdict.ticket)
            and self.period.holds(verdict.judged_at)
        )


@dataclass(slots=True)
class Verified:
    """What came out. ``folded``: records of the log; ``rechecked``: verdicts recomputed from their evidence."""

    findings: Findings = field(default_factory=Findings)
    folded: int = 0
    rechecked: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.findings.lines[UNFOUNDED] = []


class _Pairs:
    """Verdicts that are missing somewhere, and those that nothing asks for there; the first ``KEPT`` of each."""

    def __init__(self) -> None:
        self.missing: dict[str, tuple[SlaVerdictIssued, bool]] = {}
        self.extra: dict[str, SlaVerdictIssued] = {}
        self._more = 0

    def miss(self, verdict: SlaVerdictIssued, sure: bool = True) -> None:
        """The rules give it, and it is not there; unless it is ``sure``, it need not be."""
        if len(self.missing) < KEPT:
            self.missing[verdict.id] = verdict, sure
        else:
            self._more += sure

    def conclude(self, where: str, findings: Findings) -> None:
        """Say of each what it is: where both have the same id it is one that says something else."""
        for name, (verdict, sure) in self.missing.items():
            other = self.extra.get(name)
            if other is not None:
                findings.add("different", [f"{where}: {_named(verdict)}: {', '.join(fields(other, verdict))}"])
            elif sure:
                findings.add("lost", [f"{where}: {_named(verdict)} is missing"])
        findings.add("lost", (), self._more)
        for name, verdict in self.extra.items():
            if name not in self.missing:
                findings.add("doubled", [f"{where}: nothing asks for {_named(verdict)}"])


def _named(verdict: SlaVerdictIssued) -> str:
    return f"verdict {verdict.id} ({verdict.outcome}, {verdict.metric} of ticket {verdict.ticket})"


def fields(there: SlaVerdictIssued, recomputed: SlaVerdictIssued) -> Iterator[str]:
    """What one verdict says and the other does not, field by field; of the evidence, stretch by stretch."""
    for name in there.__struct_fields__:
        one, other = getattr(there, name), getattr(recomputed, name)
        if one == other:
            continue
        if name != "evidence" or len(one) != len(other):
            yield f"{name} is {_short(one)}, recomputed {_short(other)}"
            continue
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            for inner in left.__struct_fields__:
                said, meant = getattr(left, inner), getattr(right, inner)
                if said != meant:
                    yield f"evidence[{index}].{inner} is {_short(said)}, recomputed {_short(meant)}"


def _short(value: object) -> str:
    return f"{len(value)} stretches" if isinstance(value, list) else repr(value)


class _Partition:
    """The verdicts of one partition, recomputed one after the other, against its topic and the table's rows."""

    def __init__(self, hub: Hub, outputs: Outputs, wanted: Wanted, done: Verified) -> None:
        self._forms, self._outputs, self._wanted, self._done = hub.forms, outputs, wanted, done
        self._rows = outputs.rows if outputs.rows is not None else {}
        self._count = len(self._rows)
        self._calendars: dict[str, Calendar] = {}
        self._bundles = 0
        self.topic, self.table = _Pairs(), _Pairs()

    def told(self, item: Item, required: bool, fold: Refold) -> None:
        """The rules give a verdict; ``required``: it has to be published by now."""
        verdict = self._forms.read(item.value)
        assert isinstance(verdict, SlaVerdictIssued)
        outputs, mine = self._outputs, self._wanted.holds(verdict)
        mark = fingerprint(item.key, item.value)
        seen, removed, rows = mark in outputs.found.seen, outputs.removed, len(self._rows)
        flags = outputs.told(item, required)
        if not seen and outputs.removed == removed:
            there = self._rows.pop(mark, None) or self._rows.pop(self._forms.stored(verdict), None)
            if mine and required:
                self.topic.miss(verdict)
            if mine and there is None:
                self.table.miss(verdict, sure=False)
        elif mine and flags & PROJECTED and len(self._rows) == rows:
            self.table.miss(verdict)
        if mine:
            self.recheck(verdict, fold)

    def recheck(self, verdict: SlaVerdictIssued, fold: Refold) -> None:
        """Recompute a verdict from its own evidence."""
        bundles = fold.fold.casework.bundles
        if len(bundles) != self._bundles:
            self._bundles = len(bundles)
            self._calendars = {c.digest: c for bundle in bundles.values() for c in bundle.calendars.values()}
        self._done.rechecked += 1
        for found in recheck(verdict, self._calendars):
            words = f"{found.where}: {MEANINGS[found.finding]} ({found.published}, recomputed {found.recomputed})"
            self._done.findings.add(UNFOUNDED, [f"{_named(verdict)}: {words}"])

    async def read_extra(self, log: Log, settings: Settings, fold: Refold) -> None:
        """What stands on the topic or in the table and was not given by the rules."""
        found = self._outputs.found
        unknown = {mark for mark, flags in found.seen.items() if not flags & FOLDED}
        if unknown:
            async for records in log.read(found.topic, found.partition, *found.span):
                for record in records:
                    verdict = self._forms.read(record.value)
                    mark = fingerprint(record.key, self._forms.written(record.value))
                    if mark in unknown and isinstance(verdict, SlaVerdictIssued) and self._wanted.holds(verdict):
                        self.topic.extra[verdict.id] = verdict
                        self.recheck(verdict, fold)
        left = [str(uuid.UUID(bytes=row)) for row in self._rows.values()][:KEPT]
        if not left:
            return
        connection = await connect(settings.postgres)
        try:
            rows = await verdicts.by_ids(connection, left)
        finally:
            await connection.close()
        for verdict in rows:
            if self._wanted.holds(verdict):
                self.table.extra[verdict.id] = verdict
                self.recheck(verdict, fold)

    def conclude(self) -> None:
        """Name the differences."""
        found = self._outputs.found
        self.topic.conclude(f"{found.topic}/{found.partition}", self._done.findings)
        self.table.conclude("sla_verdicts", self._done.findings)
        self._done.findings.compared[found.topic] += len(found.seen)
        self._done.findings.compared["sla_verdicts"] += self._count


async def verify(settings: Settings, wanted: Wanted, say: Console | None = None) -> Verified:
    """Recompute and compare. Raises ``Refused`` where nothing can be recomputed: a log without its beginning."""
    began, done = time.monotonic(), Verified()
    topics = casework_topics(settings)
    hub = Hub(settings.kafka, topics, Forms(await codec_for(settings)), settings.retention_days)
    numbers, rows, projected = await _tables(settings, hub, wanted)
    async with open_log(settings.kafka) as log:
        await check_partitions(settings, log, numbers)
        for number in numbers:
            if say is not None:
                say.print(f"partition {number}: folding its log ({time.monotonic() - began:.0f} s so far)")
            held = await held_of(log, topics.changelog, number, lambda _: False)
            place = (topics.verdicts, number)
            found = await published(log, hub.forms, topics.verdicts, number, projected.get(place, 0), 0)
            part = _Partition(hub, Outputs(found, hub.forms, rows.take(number)), wanted, done)
            span, fold = await log.whole(topics.identified, number), Refold(hub.fold())
            async for records in log.read(topics.identified, number, *span):
                for record in records:
                    if not fold.accepts(record):
                        continue
                    for topic, item in fold.step(record):
                        if topic == topics.verdicts:
                            part.told(item, record.offset < held.position.next, fold)
                fold.fold.changes()  # taken and dropped: what is touched would stay in memory unpacked
            await part.read_extra(log, settings, fold)
            part.conclude()
            done.folded += span.end - span.begin
    done.seconds = time.monotonic() - began
    return done


async def _tables(settings: Settings, hub: Hub, wanted: Wanted) -> tuple[list[int], Rows, Places]:
    """The partitions to look at, the verdicts' rows as fingerprints, and how far the projector had read then."""
    rows, numbers = Rows(settings.partitions), list(range(settings.partitions))
    connection = await connect(settings.postgres, command_timeout=None)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await audit.hold(connection)
            projected = await audit.positions(connection, "projector_positions")
            ticket = await tickets.get(connection, wanted.ticket) if wanted.ticket else None
            if ticket is not None:
                numbers = [partition_of(ticket.customer, settings.partitions)]
            async for issued in pages(connection, verdicts.by_id, lambda verdict: verdict.id):
                for verdict in issued:
                    partition = partition_of(verdict.customer, settings.partitions)
                    if partition in numbers:
                        rows.add(partition, verdict.id, fingerprint(key_of(verdict), hub.forms.codec.encode(verdict)))
    finally:
        await connection.close()
    return numbers, rows, projected


async def run(settings: Settings, wanted: Wanted, out: Console, err: Console) -> int:
    """Recompute, compare and print. Returns 1 if anything differs or does not follow from its evidence."""
    try:
        uuid.UUID(wanted.ticket or str(uuid.UUID(int=0)))
    except ValueError:
        err.print(
            f"{wanted.ticket!r} is no ticket's id: that is a UUID, as in the address of its page", highlight=False
        )
        return 2
    collect_seldom()
    done = await verify(settings, wanted, err)
    findings = done.findings
    for sort, lines in findings.lines.items():
        for line in lines[:SHOWN]:
            out.print(f"{sort}: {line}", highlight=False, markup=False, soft_wrap=True)
        if findings.counts[sort] > SHOWN:
            out.print(f"{sort}: and {findings.counts[sort] - min(SHOWN, len(lines))} more", highlight=False)
    compared = ", ".join(f"{count} {what}" for what, count in sorted(findings.compared.items()))
    rate = f"{done.folded} records folded in {done.seconds:.1f} s"
    out.print(f"compared {compared}; {done.rechecked} rechecked", highlight=False, soft_wrap=True)
    out.print(f"{findings.summary()} | {rate}", highlight=False, soft_wrap=True)
    return int(not findings.clean)
