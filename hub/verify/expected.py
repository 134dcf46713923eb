"""What has to be there, recomputed from the log alone with the pure rules, one record after the other.

The dropping of what a source repeated is written here a second time, on purpose: a mistake in the engine's own would
otherwise be made on both sides and cancel out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from aiokafka.structs import ConsumerRecord

from consumers.alerts.inbox import fold as fold_alerts
from hub.verify.evidence import AlertRow, Evidence
from projections.identity.store import RETRIED_BEFORE
from schemas.codec import Codec, NotDecodable
from schemas.records import InteractionReceived, SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from streams.casework import CaseworkFold, CaseworkTopics
from streams.identity import DECIDED_BY, partition_of

CODEC = Codec()
TOPICS = CaseworkTopics(
    "interaction-identified",
    "timeline-entry-added",
    "ticket-changed",
    "sla-verdict-issued",
    "interaction-received-dlq",
    "casework-changelog",
)
Body = tuple[int, bytes | None, bytes | None]  # partition, key, value


@dataclass(slots=True)
class State:
    """A partition of the casework stage, folded up to the end of its log."""

    next: int
    sources: dict[str, tuple[int, int]]
    mark: bytes
    values: dict[bytes, bytes]
    due: int | None


@dataclass(slots=True)
class Expected:
    """``outputs``: per topic, id to body. ``relayed``: per partition of the log, (source, offset) to key and value.

    ``contradictions``: what the rules themselves said twice, differently.
    """

    relayed: dict[int, dict[tuple[str, int], tuple[bytes | None, bytes, str]]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Body]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    alerts: dict[str, AlertRow] = field(default_factory=dict)


def header(record: ConsumerRecord, name: str) -> str:
    """The value of a header, empty if there is none."""
    return next((value.decode() for each, value in record.headers if each == name), "")


def origin(record: ConsumerRecord) -> tuple[str, int, int] | None:
    """(source, offset, ordinal) of a record that a writer may have repeated; None for a tick."""
    source = header(record, "source")
    return (source, int(header(record, "source_offset")), int(header(record, "ordinal"))) if source else None


def accepted(records: Iterable[ConsumerRecord]) -> tuple[list[ConsumerRecord], dict[str, tuple[int, int]]]:
    """The records that count, each source in its own order, and the highest (offset, ordinal) of each source."""
    highest: dict[str, tuple[int, int]] = {}
    kept = []
    for record in records:
        place = origin(record)
        if place is not None:
            source, offset, ordinal = place
            if source in highest and (offset, ordinal) <= highest[source]:
                continue
            highest[source] = (offset, ordinal)
        kept.append(record)
    return kept, highest


def output_id(topic: str, value: bytes | None, record_id: str) -> str:
    """What makes two records of an output topic the same one."""
    if topic == TOPICS.dlq:
        return record_id
    record = CODEC.decode(value or b"")
    if isinstance(record, TicketChanged):
        return f"{record.id}/{record.version}"
    assert isinstance(record, TimelineEntryAdded | SlaVerdictIssued)
    return record.id


def expect(evidence: Evidence, retention_days: int) -> Expected:
    """Recompute: where each received event belongs, then what each partition of casework says and holds."""
    found = Expected()
    topics = (TOPICS.entries, TOPICS.tickets, TOPICS.verdicts, TOPICS.dlq)
    found.outputs = {topic: {} for topic in topics}
    found.relayed = {number: {} for number in range(evidence.partitions)}
    for partition, records in evidence.logs["interaction-received"].items():
        for record in records:
            _route(evidence, found, partition, record)
    for partition, records in evidence.logs["interaction-identified"].items():
        fold, outputs = fold_partition(evidence, records, retention_days)
        found.states[partition] = fold
        for topic, record_id, body in outputs:
            _note(found, topic, record_id, (partition, *body))
    found.alerts = _alerts(found.outputs[TOPICS.verdicts])
    return found


def _route(evidence: Evidence, found: Expected, partition: int, record: ConsumerRecord) -> None:
    """Where the identity stage has to put a received record, by the decision that is on file."""
    source = f"{evidence.prefix}interaction-received/{partition}"
    decided = evidence.decisions.get((source, record.offset))
    if decided is not None and decided.customer is not None:
        target = partition_of(decided.customer, evidence.partitions)
        item = (decided.customer.encode(), record.value or b"", decided.contact_point)
        found.relayed[target][source, record.offset] = item
    elif decided is not None and decided.version is not None:
        for target in range(evidence.partitions):
            found.relayed[target][source, record.offset] = (None, b"", str(decided.version))
    elif decided is None or decided.reason != RETRIED_BEFORE:
        letter = (partition % evidence.partitions, record.key, record.value)
        _note(found, TOPICS.dlq, f"{source}/{record.offset}/identity", letter)


def fold_partition(
    evidence: Evidence, records: Sequence[ConsumerRecord], retention_days: int
) -> tuple[State, list[tuple[str, str, tuple[bytes | None, bytes | None]]]]:
    """Fold a partition's log from its first record on. Returns its state, and the outputs: topic, id, (key, value)."""
    prefixed = {name: evidence.prefix + getattr(TOPICS, name) for name in TOPICS.__slots__}
    fold = CaseworkFold(CODEC, CaseworkTopics(**prefixed), retention_days)
    outputs = []
    held: dict[bytes, bytes | None] = {}
    kept, sources = accepted(records)
    for record in kept:
        for topic, item in fold.step(record):
            short = topic.removeprefix(evidence.prefix)
            letter = next((data.decode() for name, data in item.headers if name == "id"), "")
            outputs.append((short, output_id(short, item.value, letter), (item.key, item.value)))
        held.update((key, value) for key, _, value in fold.changes())
    values = {key: value for key, value in held.items() if value is not None}
    end = records[-1].offset + 1 if records else 0
    return State(end, sources, fold.mark(), values, fold.due()), outputs


def _note(found: Expected, topic: str, record_id: str, body: Body) -> None:
    before = found.outputs[topic].setdefault(record_id, body)
    if before != body:
        found.contradictions.append(f"{topic} {record_id}: the rules give two different records of this id")


def _alerts(verdicts: Mapping[str, Body]) -> dict[str, AlertRow]:
    """What the alerts' table has to hold after each of these verdicts was read, in the order they were made."""
    decoded = [CODEC.decode(value or b"") for _, _, value in verdicts.values()]
    changes, _ = fold_alerts({}, [each for each in decoded if isinstance(each, SlaVerdictIssued)])
    rows = {}
    for key, opening in changes.opened.items():
        closing = changes.closed.get(key)
        rows[str(key.id)] = AlertRow(
            opening.quiet,
            opening.verdict.judged_at,
            closing.verdict.judged_at if closing else None,
            closing.because.value if closing else None,
        )
    return rows


def event_of(record: ConsumerRecord) -> InteractionReceived | None:
    """The event in a record, or None where there is none to be read."""
    try:
        value = CODEC.decode(record.value or b"")
    except NotDecodable:
        return None
    return value if isinstance(value, InteractionReceived) else None


def decided_by(record: ConsumerRecord) -> str:
    """The contact point by which a record's customer was found."""
    return header(record, DECIDED_BY)


def same(one: msgspec.Struct, other: msgspec.Struct) -> bool:
    """Whether two records say the same."""
    return msgspec.structs.astuple(one) == msgspec.structs.astuple(other)
