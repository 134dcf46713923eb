"""Wherever a rebuild ends while it writes a changelog anew, a worker that restores it goes on as ever."""

from __future__ import annotations

from functools import cache

import pytest
from aiokafka.structs import ConsumerRecord

from hub.rebuild.state import State, mark_of
from hub.verify.expected import CODEC, TOPICS
from hub.verify.refold import Refold
from runtime.appending import Item
from runtime.changelog import POSITION, Position, Restored, Restoring, entry, position_entry
from streams.casework import CaseworkFold
from tests.chaos.perfect import RETENTION_DAYS, perfect


@cache
def records() -> list[ConsumerRecord]:
    return max(perfect(records=200).logs[TOPICS.identified].values(), key=len)


def folded(upto: int) -> tuple[Refold, State, list[tuple[str, Item]]]:
    fold, state = Refold(CaseworkFold(CODEC, TOPICS, RETENTION_DAYS)), State()
    outputs: list[tuple[str, Item]] = []
    for record in records()[:upto]:
        if fold.accepts(record):
            outputs += fold.step(record)
        state.take(fold.fold.changes())
    return fold, state, outputs


def restored(items: list[Item]) -> Restored:
    gathered = Restoring()
    for item in items:
        gathered.read(item.key or b"", item.value, item.headers)
    return gathered.result()


@pytest.mark.parametrize("behind", [0, 25])
def test_a_changelog_that_was_half_written_anew_is_gone_on_from(behind: int) -> None:
    log = records()
    stood = len(log) - behind
    before_fold, before, said_before = folded(stood)
    old = [entry(key, stood - 1, value) for key, value in before.values.items()]
    old.append(position_entry(before_fold.position(stood)))
    whole, state, said = folded(len(log))
    fresh = list(state.records(restored([*old, entry(b"nobody", 3, b"x")]), whole.position(len(log))))
    assert fresh[0].key == b"nobody"
    assert fresh[-1].key == POSITION
    for cut in range(0, len(fresh) + 1, 3):
        found = restored([*old, *fresh[:cut]])
        fold = CaseworkFold(CODEC, TOPICS, RETENTION_DAYS)
        fold.restore(found)
        held = {key: value for key, (_, value) in found.values.items()}
        held |= {key: value for key, (_, value) in found.ahead.items() if value is not None}
        told: list[tuple[str, Item]] = []
        for record in log[found.position.next :]:
            told += fold.step(record)
            held.update((key, value) for key, _, value in fold.changes() if value is not None)
        assert held == state.values
        assert {(topic, item) for topic, item in told if topic != TOPICS.dlq} <= {
            (topic, item) for topic, item in said[len(said_before) :] if topic != TOPICS.dlq
        }
        assert fold.mark() == whole.fold.mark()
    assert mark_of(restored([*old, *fresh])) == state.mark()


def test_a_key_ahead_of_the_position_is_another_state() -> None:
    items = [entry(b"a", 3, b"x"), position_entry(Position(5))]
    assert mark_of(restored(items)) != mark_of(restored([*items, entry(b"b", 7, b"y")]))
