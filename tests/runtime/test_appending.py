"""Appending to a real Kafka: order, offsets, and batches larger than one record batch."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import runtime.appending
from runtime.appending import ForeignWrite, Item, append
from tests.runtime.kafka_rig import Rig, numbered, rig_on, values

pytestmark = pytest.mark.kafka


@pytest.fixture
async def rig(kafka: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with rig_on(kafka, topic_prefix, {"a": {"max.message.bytes": "8388608"}}) as made:
        yield made


async def test_what_is_too_much_for_one_record_batch_goes_in_several_in_order_and_without_a_hole(rig: Rig) -> None:
    items = [Item(b"k", b"%06d" % number + b"x" * 3000) for number in range(1000)]
    following = await append(rig.producer, rig.name("a"), 1, items, expected=0)
    found = await rig.read("a", 1)
    assert following == len(found) == 1000
    assert [record.value[:6] for record in found] == [item.value[:6] for item in items if item.value]
    assert [record.offset for record in found] == list(range(1000))
    assert await append(rig.producer, rig.name("a"), 1, items[:3], expected=1000) == 1003


@pytest.mark.parametrize("around", [0, 3])
async def test_a_record_larger_than_a_record_batch_goes_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, around: int
) -> None:
    large = Item(b"k", b"L" * (runtime.appending.LARGEST_BATCH * 3))
    small = numbered(["s"] * around)
    assert await append(rig.producer, rig.name("a"), 0, [*small, large, *small], expected=0) == 2 * around + 1
    assert [len(value) for value in values(await rig.read("a"))] == [1] * around + [len(large.value or b"")] + [
        1
    ] * around


async def test_keys_tombstones_and_headers_arrive(rig: Rig) -> None:
    items = [Item(b"k", None, [("applied", b"\x00\x01")]), Item(None, b"v"), Item(b"k", b"")]
    await append(rig.producer, rig.name("a"), 0, items)
    found = [(record.key, record.value, tuple(record.headers)) for record in await rig.read("a")]
    assert found == [(b"k", None, (("applied", b"\x00\x01"),)), (None, b"v", ()), (b"k", b"", ())]


async def test_nothing_is_nothing(rig: Rig) -> None:
    assert await append(rig.producer, rig.name("a"), 0, [], expected=7) == 7
    assert await append(rig.producer, rig.name("a"), 0, []) is None
    assert await rig.read("a") == []


async def test_another_writer_is_noticed_by_the_offset(rig: Rig) -> None:
    await append(rig.producer, rig.name("a"), 0, numbered("ab"), expected=0)
    await append(rig.producer, rig.name("a"), 0, numbered("c"))
    with pytest.raises(ForeignWrite, match="got offset 3, expected 2"):
        await append(rig.producer, rig.name("a"), 0, numbered("d"), expected=2)
