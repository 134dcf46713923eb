"""One partition of casework compared: its log folded anew, against state, output topics, tables and alerts.

It is right while everything runs, because each thing is read in the order in which one depends on the other. The
changelog first, to its end: it stands at some position, and all outputs below it were durable before it was written.
Then the output topics to the ends they have; then the log to its end, below which every one of those outputs must come
from. So outputs up to the position have to be there, and those above may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from hub.verify.alerts import Alerts
from hub.verify.findings import Findings, Named
from hub.verify.fingerprint import Forms, fingerprint
from hub.verify.log import Log
from hub.verify.outputs import ALERTED, Outputs, letters, published
from hub.verify.refold import Refold
from hub.verify.relayed import Asked
from hub.verify.rows import Snapshot
from runtime.changelog import Position, Restored, restore
from schemas.records import SlaVerdictIssued
from streams.casework import CaseworkFold, CaseworkTopics


@dataclass(frozen=True, slots=True)
class Hub:
    """What is compared: ``kafka`` and the topics on it, and by which rules."""

    kafka: str
    topics: CaseworkTopics
    forms: Forms
    retention_days: int

    def fold(self) -> CaseworkFold:
        """The rules, with nothing folded yet."""
        return CaseworkFold(self.forms.codec, self.topics, self.retention_days)


class State:
    """The state that a restart would restore, compared with the folded one at the offset it stands at."""

    def __init__(self, restored: Restored, where: str, findings: Findings) -> None:
        self._where = where
        self._findings = findings
        self._position = restored.position
        self._values = {key: fingerprint(key, value) for key, (_, value) in restored.values.items()}
        self._ahead = {key: (at, fingerprint(key, value)) for key, (at, value) in restored.ahead.items()}
        self._folded: dict[bytes, int] = {}
        self._done = False
        findings.compared["state"] += len(restored.values)

    @property
    def next(self) -> int:
        """The offset that the state stands at."""
        return self._position.next

    def before(self, offset: int, fold: Refold) -> None:
        """The record at ``offset`` is about to be folded."""
        if not self._done and offset >= self.next:
            self._compare(fold)
        if self._ahead and any(at < offset for at, _ in self._ahead.values()):
            self._compare_ahead(offset, fold)

    def folded(self, fold: Refold) -> None:
        """Take note of what changed."""
        for key, _, value in fold.fold.changes():
            if value is not None:
                self._folded[key] = fingerprint(key, value)
            else:
                self._folded.pop(key, None)

    def end(self, end: int, fold: Refold) -> None:
        """Everything below ``end`` is folded."""
        if self.next > end:
            words = f"stands at {self.next}, but its log ends at {end}: the log is not the one it was made from"
            self._findings.add("different", [f"{self._where}: {words}"])
        if not self._done:
            self._compare(fold)
        self._compare_ahead(end, fold)
        for key, (at, _) in self._ahead.items():
            self._findings.add("different", [f"{self._where}: {_named(key)} is as of {at}, where no log is"])

    def _compare(self, fold: Refold) -> None:
        self._done = True
        self.folded(fold)
        if self._position not in (fold.position(self.next), Position()):  # nothing was folded yet
            same_sources = self._position.sources == fold.position(self.next).sources
            what = "time reached or bundles" if same_sources else "sources"
            self._findings.add("different", [f"{self._where}: the {what} of the position are not those of the log"])
        missing, extra = Named(), Named()
        for key, mark in self._folded.items():
            held = self._values.get(key)
            if held == mark:
                del self._values[key]
            elif key not in self._ahead:
                missing.add(_named(key), f"{self._where}: {_named(key)} is missing")
        for key in self._values:
            words = "says something else than its log" if key in self._folded else "is held, and nothing asks for it"
            extra.add(_named(key), f"{self._where}: {_named(key)} {words}")
        self._findings.pair(missing, extra)
        self._values.clear()
        if not self._ahead:
            self._folded.clear()

    def _compare_ahead(self, offset: int, fold: Refold) -> None:
        """Keys of a batch of which the position is not written yet are compared where they are."""
        self.folded(fold)
        for key in [key for key, (at, _) in self._ahead.items() if at < offset]:
            _, mark = self._ahead.pop(key)
            if self._folded.get(key, fingerprint(key, None)) != mark:
                self._findings.add("different", [f"{self._where}: {_named(key)}, ahead of the position, differs"])


def _named(key: bytes) -> str:
    return key.decode(errors="backslashreplace")


async def compare(
    hub: Hub, log: Log, partition: int, asked: Asked, snapshot: Snapshot, findings: Findings
) -> tuple[int, int]:
    """Compare one partition. Returns how many records were folded, and how many of them casework has yet to take."""
    topics = hub.topics
    restored = await restore(hub.kafka, topics.changelog, partition)
    state = State(restored, f"{topics.changelog}/{partition}", findings)
    del restored
    outputs = await _outputs(hub, log, partition, snapshot)
    span = await log.whole(topics.identified, partition)
    fold, alerts = Refold(hub.fold()), Alerts()

    def take(record: ConsumerRecord) -> None:
        state.before(record.offset, fold)
        accepted = fold.accepts(record)
        asked.take(record, accepted)
        if not accepted:
            return
        for topic, item in fold.step(record):
            flags = outputs[topic].told(item, record.offset < state.next)
            if topic == topics.verdicts and flags & ALERTED:
                verdict = hub.forms.read(item.value)
                assert isinstance(verdict, SlaVerdictIssued)
                alerts.told(verdict)

    async for records in log.read(topics.identified, partition, *span):
        for record in records:
            take(record)
        state.folded(fold)
    state.end(span.end, fold)
    asked.conclude(f"{topics.identified}/{partition}", findings)
    for table, topic in zip(("timeline_entries", "tickets", "sla_verdicts", ""), outputs, strict=True):
        await outputs[topic].conclude(log, table, findings)
    alerts.conclude(snapshot.alerts.get(partition, {}), findings)
    findings.repeated[topics.identified] += fold.repeated
    return span.end - span.begin, max(span.end - state.next, 0)


async def _outputs(hub: Hub, log: Log, partition: int, snapshot: Snapshot) -> dict[str, Outputs]:
    """The output topics of a partition, read to the ends they have."""
    topics, found = hub.topics, dict[str, Outputs]()
    tables = {topics.entries: snapshot.entries, topics.tickets: snapshot.tickets, topics.verdicts: snapshot.verdicts}
    for topic, rows in tables.items():
        place = (topic, partition)
        alerted = snapshot.alerted.get(place, 0)
        there = await published(log, hub.forms, topic, partition, snapshot.projector.get(place, 0), alerted)
        found[topic] = Outputs(there, hub.forms, rows.take(partition), compacted=topic == topics.tickets)
    found[topics.dlq] = Outputs(await letters(log, topics.dlq, partition), hub.forms, None)
    return found
