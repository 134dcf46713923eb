"""How many dead letters may be written: the count, the share, the minute, and what is said when it is too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from runtime.appending import Item
from runtime.letter_limit import WITHIN, LetterLimit, TooManyDeadLetters, reasons_of


class Seconds:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """Takes batches as a stage does: asks, writes, counts. Ten letters a minute, if they are half of all."""

    def __init__(self, most: int = 10, share: float = 0.5) -> None:
        self.seconds = Seconds()
        self.limit = LetterLimit("s", "dlq", most, share, self.seconds)
        self.written = 0

    def take(self, letters: int, records: int, reason: str = "not-avro", after: float = 0.1) -> bool:
        """Whether a batch was written."""
        self.seconds.now += after
        reasons = [reason] * letters
        try:
            self.limit.check(reasons, records)
        except TooManyDeadLetters:
            return False
        self.limit.wrote(reasons, records)
        self.written += letters
        return True


def test_a_stage_that_makes_letters_of_everything_stops_at_the_limit_and_not_one_later() -> None:
    stage = Stage()
    assert [stage.take(4, 4) for _ in range(4)] == [True, True, False, False]
    assert stage.written == 8, "the batch that would pass it is not written at all"
    stage = Stage()
    assert [stage.take(5, 5) for _ in range(3)] == [True, True, False]
    assert not Stage().take(11, 11), "the first batch of a process, too"


def test_one_that_becomes_bad_stops_as_soon_whatever_went_well_before() -> None:
    stage = Stage()
    for _ in range(100):
        assert stage.take(0, 500)
    assert [stage.take(4, 4) for _ in range(3)] == [True, True, False]


def test_a_noisy_third_party_does_not_stop_it_unless_it_writes_more_than_all_others() -> None:
    stage = Stage()
    assert all(stage.take(9, 20) for _ in range(200))
    assert [stage.take(10, 31), stage.take(11, 12)] == [True, False]
    assert not Stage(share=0).take(11, 100_000), "a share of nothing leaves the count alone"
    assert Stage(share=1).take(999, 1000)
    assert not Stage(share=1).take(1000, 1000)


def test_letters_that_come_slowly_do_not_stop_it() -> None:
    stage = Stage()
    assert all(stage.take(1, 1, after=WITHIN / 9) for _ in range(100))
    stage = Stage()
    assert [stage.take(1, 1, after=WITHIN / 11) for _ in range(11)] == [True] * 10 + [False]


def test_the_sentence_says_what_how_many_why_and_what_to_do() -> None:
    stage = Stage()
    stage.take(4, 5, "unknown-schema")
    with pytest.raises(TooManyDeadLetters) as caught:
        stage.limit.check(["not-avro"] * 7, 8)
    text = str(caught.value)
    assert text.startswith(
        "11 of the last 13 records would be dead letters within a minute (not-avro 7, unknown-schema 4)"
    )
    for words in ("HUB_DEAD_LETTER_LIMIT=10", "HUB_DEAD_LETTER_SHARE=0.5", "nothing is lost", "deploy the right one"):
        assert words in text
    assert caught.value.reasons == {"not-avro": 7, "unknown-schema": 4}


def test_what_was_written_is_counted_and_what_was_refused_is_not() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("hub_dead_letters_total", {"stage": "s", "reason": "not-avro"}) or 0.0

    stage, before = Stage(), counted()
    stage.take(10, 10)
    stage.take(10, 10)
    assert counted() == before + 10


def test_the_reason_is_read_from_the_letter() -> None:
    assert reasons_of([Item(None, b"", [("id", b"1"), ("reason", b"not-avro")]), Item(None, b"")]) == ["not-avro", ""]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(0, 30)), max_size=40),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_it_stops_exactly_when_the_newest_batches_that_pass_the_count_also_pass_the_share(
    batches: list[tuple[int, int, float]], most: int, share: float
) -> None:
    stage = Stage(most, share)
    taken: list[tuple[float, int, int]] = []
    for letters, others, after in batches:
        now = stage.seconds.now + after

        count, of = letters, letters + others
        for at, more, records in reversed(taken):
            if count > most or now - at > WITHIN:
                break
            count, of = count + more, of + records
        too_many = letters > 0 and count > most and count >= share * of
        assert stage.take(letters, letters + others, after=after) is not too_many
        if not too_many:
            taken.append((now, letters, letters + others))
