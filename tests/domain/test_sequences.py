"""Whatever the order, the repeats and the losses: what is said to be missing is exactly what did not come."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.sequences import (
    BY_CONVERSATION,
    MOST_GAPS,
    Numbering,
    NumberingInvalid,
    Seen,
    numbering_of,
    read_numberings,
    see,
)


def folded(numbers: list[int], first: int | None = None, most: int = MOST_GAPS) -> Seen:
    """The stream after these numbers, the n-th of which came at n."""
    seen = None
    for at, number in enumerate(numbers):
        seen = see(seen, number, at, first, most)
    assert seen is not None
    return seen


def missing(seen: Seen) -> set[int]:
    return {number for gap in seen.gaps for number in range(gap.first, gap.last + 1)}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80))
def test_in_any_order_with_repeats_and_losses_the_missing_numbers_are_exact(numbers: list[int]) -> None:
    seen = folded(numbers)
    assert (seen.lowest, seen.highest) == (min(numbers), max(numbers))
    assert missing(seen) == set(range(min(numbers), max(numbers))) - set(numbers)
    assert seen.missing == len(missing(seen))
    assert all(one.last + 1 < other.first for one, other in zip(seen.gaps, seen.gaps[1:], strict=False))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.integers(0, 10))
def test_where_the_beginning_is_known_what_is_before_the_first_that_came_is_missing(
    numbers: list[int], first: int
) -> None:
    assert missing(folded(numbers, first)) == set(range(min(first, *numbers), max(numbers))) - set(numbers)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.integers(0, 79))
def test_a_repeat_changes_nothing(numbers: list[int], which: int) -> None:
    seen = folded(numbers)
    assert see(seen, numbers[which % len(numbers)], 1000) is seen


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_two_orders_of_arrival_end_with_the_same_numbers(numbers: list[int], chance: Random) -> None:
    other = list(numbers)
    chance.shuffle(other)
    assert missing(folded(numbers)) == missing(folded(other))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=120, unique=True), st.integers(0, 5))
def test_with_little_room_the_sum_of_what_is_missing_stays_exact(numbers: list[int], most: int) -> None:
    seen = folded(numbers, most=most)
    assert len(seen.gaps) <= most
    assert seen.missing == max(numbers) - min(numbers) + 1 - len(numbers)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=40, unique=True))
def test_a_gap_is_open_since_it_was_seen_and_a_part_of_it_as_long(numbers: list[int]) -> None:
    for gap in folded(numbers).gaps:
        # It was seen when for the first time there was a number on both sides of it.
        below = min(at for at, number in enumerate(numbers) if number < gap.first)
        above = min(at for at, number in enumerate(numbers) if number > gap.last)
        assert gap.since == max(below, above)


def test_what_sequences_count_is_read_from_text() -> None:
    numberings = read_numberings("shop/*=source:1 pbx/*=conversation:0\n desk=nothing")
    assert numberings == (
        Numbering("shop/*", "source", 1), Numbering("pbx/*", "conversation", 0), Numbering("desk", "nothing"),
    )  # fmt: skip
    assert numbering_of("shop/berlin", numberings) == numberings[0]
    assert numbering_of("chat/main", numberings) == BY_CONVERSATION
    assert read_numberings("") == ()


@pytest.mark.parametrize(
    "text", ["shop", "shop=", "=source", "shop=queue", "shop=source:", "shop=source:-1", "a=source:x"]
)
def test_text_that_says_something_else_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(NumberingInvalid, match="pattern=conversation"):
        read_numberings(f"a/*=source {text}")
