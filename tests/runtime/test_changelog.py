"""What a changelog says: per key the highest offset wins, and the position decides what counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import runtime.appending
from runtime.appending import Item
from runtime.changelog import APPLIED, POSITION, Position, Restored, Restoring, entry, position_entry, restore
from tests.runtime.kafka_rig import COMPACT, Rig, rig_on


def say(*items: Item) -> Restored:
    gathered = Restoring()
    for item in items:
        gathered.read(item.key or b"", item.value, item.headers)
    return gathered.result()


def at(following: int, mark: bytes = b"", **sources: tuple[int, int]) -> Item:
    return position_entry(Position(following, sources, mark))


def test_of_each_key_the_record_with_the_highest_offset_counts_and_not_the_last_one() -> None:
    found = say(entry(b"a", 5, b"new"), entry(b"b", 5, b"b"), entry(b"a", 3, b"old"), at(6))
    assert found.values == {b"a": (5, b"new"), b"b": (5, b"b")}


def test_a_tombstone_has_its_offset_too() -> None:
    gone, late = entry(b"a", 5, None), entry(b"a", 3, b"old")
    assert gone.value is None
    assert dict(gone.headers) == {APPLIED: (5).to_bytes(8, "big")}
    assert say(entry(b"a", 2, b"first"), gone, late, at(6)).values == {}
    assert say(gone, entry(b"a", 7, b"again"), at(8)).values == {b"a": (7, b"again")}


def test_the_position_is_the_highest_one_with_its_sources_and_mark() -> None:
    found = say(at(9, b"later", a=(4, 1)), at(7, b"earlier", a=(2, 0)))
    assert found.position == Position(9, {"a": (4, 1)}, b"later")


def test_an_empty_changelog_begins_at_the_beginning() -> None:
    assert say() == Restored(Position(0, {}, b""))


def test_a_batch_without_its_position_is_ahead_of_it() -> None:
    found = say(entry(b"a", 4, b"a4"), entry(b"b", 4, b"b4"), at(5), entry(b"a", 9, b"a9"), entry(b"b", 9, None))
    assert found.values == {}
    assert found.ahead == {b"a": (9, b"a9"), b"b": (9, None)}
    assert found.position.next == 5


def test_what_an_older_record_stands_after_is_to_be_written_again() -> None:
    newer, gone = entry(b"a", 9, b"new"), entry(b"b", 9, None)
    found = say(newer, gone, entry(b"c", 9, b"c"), at(10), entry(b"a", 5, b"old"), entry(b"b", 5, b"old"), at(6))
    assert found.overwritten == [newer, gone]
    assert say(newer, gone, at(10), entry(b"a", 5, b"old"), *found.overwritten).overwritten == []


KEYS = st.sampled_from([b"a", b"b", b"c"])
WRITTEN = st.dictionaries(st.tuples(KEYS, st.integers(0, 30)), st.booleans(), max_size=20)


@given(WRITTEN, st.integers(0, 30), st.data())
def test_neither_order_nor_compaction_after_rewriting_changes_what_it_says(
    written: dict[tuple[bytes, int], bool], following: int, data: st.DataObject
) -> None:
    """``written``: key and offset, and whether the key was there then; equal ones were folded from one log."""
    items = [entry(key, applied, b"%d" % applied if there else None) for (key, applied), there in written.items()]
    first = say(*items, at(following))
    shuffled = data.draw(st.permutations([*items, at(following)]))
    other = say(*shuffled)
    compacted = {item.key: item for item in [*shuffled, *other.overwritten]}
    again = say(*compacted.values())
    for found in (other, again):
        assert (found.position, found.values) == (first.position, first.values)
        assert found.ahead == first.ahead
    assert again.overwritten == []


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"state": COMPACT}) as made:
        yield made


@pytest.mark.kafka
async def test_a_partition_is_read_from_its_beginning_to_its_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.appending, "LARGEST_BATCH", 2_000)
    items = [entry(b"%d" % (number % 500), number, b"x" * 50) for number in range(2000)]
    await rig.write("state", [*items, at(2000, b"mark")], partition=1)
    await rig.write("state", [entry(b"else", 0, b"other partition"), at(1)])
    found = await restore(rig.kafka, rig.name("state"), 1)
    assert len(found.values) == 500
    assert min(applied for applied, _ in found.values.values()) == 1500
    assert (found.position, found.end, found.records) == (Position(2000, {}, b"mark"), 2001, 2001)


@pytest.mark.kafka
async def test_an_empty_partition_is_restored_at_once(rig: Rig) -> None:
    found = await restore(rig.kafka, rig.name("state"), 0)
    assert (found.position.next, found.end, found.records) == (0, 0, 0)


@pytest.mark.kafka
async def test_the_position_of_a_batch_in_several_parts_is_in_the_last_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.appending, "LARGEST_BATCH", 500)
    await rig.write("state", [*(entry(b"%d" % number, 99, b"x" * 100) for number in range(30)), at(100)])
    found = await rig.read("state")
    assert found[-1].key == POSITION
    assert [record.key for record in found].count(POSITION) == 1
