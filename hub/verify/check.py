"""Compares what is there with what has to be there, and says of each difference what it is.

``lost``: something that has to be there is not. ``doubled``: something is there that nothing asked for, or twice where
once is meant. ``different``: it is there, and says something else. A record that an engine repeated after a crash under
the same id and with the same bytes is none of these; how many there were is told beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from hub.verify.evidence import OUTPUTS, Evidence
from hub.verify.expected import (
    CODEC,
    TOPICS,
    Expected,
    accepted,
    decided_by,
    event_of,
    expect,
    header,
    origin,
    output_id,
)
from projections.identity.store import RETRIED_BEFORE
from projections.tickets.store import next_due
from runtime.changelog import Restoring
from schemas.records import ConfigurationPublished, SlaVerdictIssued, TicketChanged, TimelineEntryAdded

T = TypeVar("T")
K = TypeVar("K")


@dataclass(slots=True)
class Report:
    """What the check found. ``events``: received records; ``repeated``: records that came again, equal, by topic."""

    events: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.different)

    def counts(self) -> str:
        """The last words of a run."""
        return f"lost {len(self.lost)} doubled {len(self.doubled)} different {len(self.different)}"

    def first(self, most: int = 20) -> str:
        """The first differences of each sort, a line each."""
        sorts = {"lost": self.lost, "doubled": self.doubled, "different": self.different}
        return "\n".join(f"{sort}: {line}" for sort, lines in sorts.items() for line in lines[:most])


def check(evidence: Evidence, retention_days: int) -> Report:
    """Recompute everything from the log and compare it with all that is there."""
    report = Report(events=sum(map(len, evidence.logs["interaction-received"].values())))
    expected = expect(evidence, retention_days)
    report.different += expected.contradictions
    _check_decisions(evidence, report)
    _check_relayed(evidence, expected, report)
    for topic in (*OUTPUTS, TOPICS.dlq):
        _check_outputs(evidence, expected, topic, report)
    _check_states(evidence, expected, report)
    _check_one_end(evidence, report)
    _check_tables(evidence, expected, report)
    return report


def _check_decisions(evidence: Evidence, report: Report) -> None:
    """Each decision stands for the event at its place, and one event has one customer however often it came."""
    customers: dict[str, set[str]] = defaultdict(set)
    places = {}
    for partition, records in evidence.logs["interaction-received"].items():
        for record in records:
            event = event_of(record)
            if event is not None:
                places[f"{evidence.prefix}interaction-received/{partition}", record.offset] = event
    for place, decided in evidence.decisions.items():
        report.compared["decisions"] += 1
        held = places.get(place)
        if held is None or held.id != decided.event:
            report.different.append(f"decision {place}: names event {decided.event}, which does not stand there")
        if decided.customer is not None:
            customers[decided.event].add(decided.customer)
    for event_id, owners in customers.items():
        if len(owners) > 1:
            report.doubled.append(f"event {event_id}: was given to {len(owners)} customers")


def _check_relayed(evidence: Evidence, expected: Expected, report: Report) -> None:
    """What casework takes from its log is each received event once, in its customer's partition, with its bytes."""
    for partition, records in evidence.logs["interaction-identified"].items():
        wanted = expected.relayed[partition]
        kept, _ = accepted(records)
        taken = Counter((place[0], place[1]) for record in kept if (place := origin(record)))
        report.repeated["interaction-identified"] += len(records) - len(kept)
        where = f"interaction-identified/{partition}"
        report.lost += [f"{where}: {place} was never taken" for place in wanted.keys() - taken.keys()]
        report.doubled += [f"{where}: {place} does not belong there" for place in taken.keys() - wanted.keys()]
        report.doubled += [f"{where}: {place} was taken {count} times" for place, count in taken.items() if count > 1]
        for record in records:
            place = origin(record)
            if place is None or (place[0], place[1]) not in wanted:
                continue
            report.compared["relayed"] += 1
            key, value, said = wanted[place[0], place[1]]
            if key is None:
                published = CODEC.decode(record.value or b"")
                same = isinstance(published, ConfigurationPublished) and str(published.version) == said
            else:
                same = (record.key, record.value, decided_by(record)) == (key, value, said)
            if not same:
                report.different.append(f"{where} offset {record.offset}: is not what was decided for {place}")


def _check_outputs(evidence: Evidence, expected: Expected, topic: str, report: Report) -> None:
    """Each output topic, unique by id, is exactly what the rules say; what is repeated is repeated equal."""
    wanted = expected.outputs[topic]
    seen = set[str]()
    for partition, records in evidence.logs[topic].items():
        for record in records:
            record_id = output_id(topic, record.value, header(record, "id"))
            body = wanted.get(record_id)
            if record_id in seen:
                report.repeated[topic] += 1
            elif body is None:
                report.doubled.append(f"{topic}/{partition} offset {record.offset}: nothing asks for {record_id}")
            seen.add(record_id)
            if body is not None and body != (partition, record.key, record.value):
                report.different.append(f"{topic}/{partition} offset {record.offset}: {record_id} says something else")
    report.compared[topic] += len(seen)
    report.lost += [f"{topic}: {record_id} is missing" for record_id in wanted.keys() - seen]


def _check_states(evidence: Evidence, expected: Expected, report: Report) -> None:
    """What a restart would restore is the folded state, and its position is the end of the log."""
    for partition, state in expected.states.items():
        gathered = Restoring()
        for record in evidence.logs["casework-changelog"][partition]:
            gathered.read(record.key or b"", record.value, record.headers)
        restored = gathered.result()
        where = f"casework-changelog/{partition}"
        if restored.position.next != state.next:
            report.different.append(f"{where}: stands at {restored.position.next}, the log ends at {state.next}")
        if (restored.position.sources, restored.position.mark) != (state.sources, state.mark):
            report.different.append(f"{where}: the position's sources or mark are not those of the log")
        held = {key: value for key, (_, value) in restored.values.items()}
        report.compared["state"] += len(held)
        _compare(f"{where} key", held, state.values, report)


def _check_one_end(evidence: Evidence, report: Report) -> None:
    """Each received record ends as a dead letter or as the one entry of its event; each entry has a received event."""
    entries = Counter(entry.event for entry in evidence.tables.entries)
    report.doubled += [f"event {event}: has {count} entries" for event, count in entries.items() if count > 1]
    letters = set()
    for records in evidence.logs[TOPICS.dlq].values():
        for record in records:
            event = event_of(record)
            letters.add(event.id if event else header(record, "id"))
    ended = entries.keys() | letters
    known = set()
    for partition, records in evidence.logs["interaction-received"].items():
        for record in records:
            event = event_of(record)
            place = f"{evidence.prefix}interaction-received/{partition}"
            known.add(event.id if event else "")
            decided = evidence.decisions.get((place, record.offset))
            if decided is not None and (decided.version is not None or decided.reason == RETRIED_BEFORE):
                continue
            if (event.id if event else f"{place}/{record.offset}/identity") not in ended:
                report.lost.append(f"{place} offset {record.offset}: has neither an entry nor a dead letter")
    report.doubled += [f"entry of {event}: no such event was received" for event in entries.keys() - known]


def _check_tables(evidence: Evidence, expected: Expected, report: Report) -> None:
    """The rows in PostgreSQL are the records of the topics: all entries and verdicts, the newest of each ticket."""
    tables = evidence.tables
    entries = _decoded(expected, TOPICS.entries, TimelineEntryAdded)
    _compare("timeline_entries", {e.id: e for e in tables.entries}, {e.id: e for e in entries}, report)
    newest: dict[str, TicketChanged] = {}
    for ticket in _decoded(expected, TOPICS.tickets, TicketChanged):
        if ticket.id not in newest or newest[ticket.id].version < ticket.version:
            newest[ticket.id] = ticket
    _compare("tickets", {t.id: _plain(t) for t in tables.tickets}, {k: _plain(t) for k, t in newest.items()}, report)
    verdicts = _decoded(expected, TOPICS.verdicts, SlaVerdictIssued)
    _compare("sla_verdicts", {v.id: v for v in tables.verdicts}, {v.id: v for v in verdicts}, report)
    _compare("alerts", tables.alerts, expected.alerts, report)
    for name, rows in (("timeline_entries", tables.entries), ("tickets", tables.tickets)):
        report.compared[name] += len(rows)
        if len(rows) != len({row.id for row in rows}):
            report.doubled.append(f"{name}: the same row came twice")
    report.compared["sla_verdicts"] += len(tables.verdicts)
    report.compared["alerts"] += len(tables.alerts)


def _plain(ticket: TicketChanged) -> tuple[object, ...]:
    """A ticket with its clocks in one order, since a table has none."""
    clocks = sorted(ticket.clocks, key=lambda clock: (clock.metric, clock.cycle))
    return (*msgspec.structs.astuple(msgspec.structs.replace(ticket, clocks=clocks)), next_due(clocks))


def _decoded(expected: Expected, topic: str, kind: type[T]) -> Iterable[T]:
    for _, _, value in expected.outputs[topic].values():
        record = CODEC.decode(value or b"")
        assert isinstance(record, kind)
        yield record


def _compare(where: str, there: Mapping[K, object], wanted: Mapping[K, object], report: Report) -> None:
    report.lost += [f"{where}: {key!r} is missing" for key in wanted.keys() - there.keys()]
    report.doubled += [f"{where}: nothing asks for {key!r}" for key in there.keys() - wanted.keys()]
    for key in there.keys() & wanted.keys():
        if there[key] != wanted[key]:
            report.different.append(f"{where}: {key!r} says something else")
