"""What is remembered of a partition's last ids, and that remembering goes on at the same cost and in the same space."""

from __future__ import annotations

import sys
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumers.recent import Recent


@given(st.lists(st.integers(0, 12), max_size=120), st.integers(1, 40))
def test_every_id_of_the_span_is_known_by_its_last_offset(keys: list[int], span: int) -> None:
    recent = Recent(span)
    for offset, number in enumerate(keys):
        key = bytes([number])
        inside = [at for at in range(max(0, offset - span), offset) if keys[at] == number]
        if inside:
            assert recent.last(key) == inside[-1]
        else:
            before = recent.last(key)  # a little more than the span may be known
            assert before is None or (keys[before] == number and offset - before > span)
        recent.add(key, offset)
        recent.forget(offset + 1 - span)
    assert len(recent) <= span + -(-span // 8)


def test_ids_that_leave_as_others_come_take_no_more_space() -> None:
    span, random = 2_000, Random(1)
    recent = Recent(span)
    sizes = []
    for offset in range(20 * span):
        recent.add(random.getrandbits(128).to_bytes(16, "big"), offset)
        recent.forget(offset + 1 - span)
        if offset % span == span - 1:
            sizes.append(sum(sys.getsizeof(piece) for piece in recent._pieces.values()))
    assert len(set(sizes[1:])) == 1
