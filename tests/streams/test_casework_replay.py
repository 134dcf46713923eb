"""Whatever is durable when a worker dies, a replay from there says the same and ends in the same state.

Two processes fold one log: one may be the owner and the other one that does not know that it no longer is. Each step
of either may be cut off after any part of what it writes. That is every crash and every zombie there can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.appending import Item
from runtime.changelog import Position, Restored, Restoring, entry, position_entry
from schemas.records import SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from streams.casework import CaseworkFold
from tests.streams.logs import CODEC, TOPICS, Changelog, Record, log_of

Said = dict[str, bytes | None]


@dataclass(slots=True)
class Process:
    """A worker's view of a partition, as ``runtime.stage`` keeps it."""

    fold: CaseworkFold
    next: int
    changelog_end: int


def restored(changelog: Changelog) -> Restored:
    gathered = Restoring()
    for _, item in changelog.kept:
        gathered.read(item.key or b"", item.value, item.headers)
    return gathered.result()


def begin(changelog: Changelog) -> Process:
    """Restore, and write down again what somebody wrote over."""
    found = restored(changelog)
    fold = CaseworkFold(CODEC, TOPICS, retention_days=1)
    fold.restore(found)
    changelog.append(found.overwritten)
    return Process(fold, found.position.next, changelog.end)


def name_of(topic: str, item: Item) -> str:
    """What makes two outputs the same one."""
    if topic == TOPICS.dlq:
        return next(value.decode() for name, value in item.headers if name == "id")
    record = CODEC.decode(item.value or b"")
    assert isinstance(record, TimelineEntryAdded | TicketChanged | SlaVerdictIssued)
    return f"{topic}/{record.id}/{getattr(record, 'version', '')}"


def fold_whole(log: list[Record]) -> tuple[Said, dict[bytes, bytes], CaseworkFold]:
    """Outputs and state without any crash."""
    fold = CaseworkFold(CODEC, TOPICS, retention_days=1)
    said: Said = {}
    held: dict[bytes, bytes | None] = {}
    for record in log:
        for topic, item in fold.step(cast("ConsumerRecord", record)):
            assert name_of(topic, item) not in said
            said[name_of(topic, item)] = item.value
        held.update((key, value) for key, _, value in fold.changes())
    return said, {key: value for key, value in held.items() if value is not None}, fold


def step(process: Process, log: list[Record], size: int, cut: int | None, changelog: Changelog) -> Said:
    """Fold a batch and write it down; ``cut``: how many changelog records become durable before the process dies."""
    said: Said = {}
    batch = log[process.next : process.next + size]
    if not batch:
        return {}
    for record in batch:
        for topic, item in process.fold.step(cast("ConsumerRecord", record)):
            said[name_of(topic, item)] = item.value
    changes = [entry(*change) for change in process.fold.changes()]
    changes.append(position_entry(Position(batch[-1].offset + 1, {}, process.fold.mark())))
    changelog.append(changes if cut is None else changes[:cut])
    process.next = batch[-1].offset + 1
    process.changelog_end += len(changes)
    return said


WAITS = (0, 16, 31, 46, 500)  # minutes; between 45 and 60 a first response is warned of, then it is late
MOMENTS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from((0, 0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7)), st.sampled_from(WAITS)),
    min_size=8,
    max_size=30,
)
CUT = st.one_of(st.none(), st.integers(0, 3))
STEPS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 5), CUT, st.booleans()), min_size=8, max_size=30)


@settings(max_examples=300)
@given(MOMENTS, STEPS)
def test_crashes_zombies_and_compaction_change_nothing(
    moments: list[tuple[int, int, int]], steps: list[tuple[int, int, int | None, bool]]
) -> None:
    log = log_of(moments)
    wanted, state, whole = fold_whole(log)
    changelog, processes = Changelog(), dict[int, Process]()
    said: Said = {}
    for who, size, cut, compacting in [*steps, (0, len(log), None, False), (0, len(log), None, False)]:
        process = processes.get(who)
        if process is None:
            process = processes[who] = begin(changelog)
        for name, value in step(process, log, size, cut, changelog).items():
            assert wanted[name] == value, f"{name} was said again, differently"
            said[name] = value
        if cut is not None or process.changelog_end != changelog.end:
            del processes[who]  # killed, or it saw that somebody else writes
        elif compacting:  # long after: whoever writes here has restored, and everybody else has seen it and is gone
            processes = {who: process}
            changelog.compact()
    last = begin(changelog)
    while last.next < len(log):
        said |= step(last, log, 7, None, changelog)
    assert said == wanted
    end = restored(changelog)
    assert {key: value for key, (_, value) in end.values.items()} == state
    assert end.position.mark == whole.mark()
    assert last.fold.due() == whole.due()
