"""What a source's own count says, and every way in which it can say nothing."""

from __future__ import annotations

import msgspec
import pytest

from domain.identity import customer_id, decide, points_of
from domain.source_counts import QUARTER, CountInvalid, Stated, quarter_of, stated, statement
from schemas.records import ContactPoint, InteractionReceived
from tests.domain.stories import event
from tests.domain.test_identity import known

GOOD = {"type": "call.offered", "since": "2026-03-02T09:00:00Z", "until": "2026-03-02T10:45:00+01:00", "count": "7"}
NINE = 1_772_442_000_000_000  # 2026-03-02T09:00:00Z


def counting(**attributes: str | None) -> InteractionReceived:
    """The event with these attributes in place of the good ones; None takes one away."""
    given = {name: value for name, value in {**GOOD, **attributes}.items() if value is not None}
    return msgspec.structs.replace(event("e", "source.counted", 0), source="pbx/berlin", attributes=given)


def test_a_count_of_a_span() -> None:
    assert stated(counting()) == Stated("pbx/berlin", "call.offered", "", NINE, NINE + 3 * QUARTER, 7)


def test_a_meters_reading_of_a_queue_of_another_source() -> None:
    said = stated(counting(since=None, count=None, total="905", queue="support", source="pbx/hamburg"))
    assert said == Stated("pbx/hamburg", "call.offered", "support", None, NINE + 3 * QUARTER, 905)


def test_what_is_written_is_read() -> None:
    given = statement("call.abandoned", NINE, 3, "support")
    said = stated(msgspec.structs.replace(counting(), attributes=given))
    assert said == Stated("pbx/berlin", "call.abandoned", "support", None, NINE, 3)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"type": None}, "type"),
        ({"type": "call.gone"}, "type"),
        ({"type": "source.counted"}, "type"),
        ({"since": None}, "count"),
        ({"total": "9"}, "total"),
        ({"count": None}, "count"),
        ({"count": None, "total": "9"}, "total"),
        ({"count": "-1"}, "count"),
        ({"count": "1.5"}, "count"),
        ({"count": "9" * 16}, "count"),
        ({"until": None}, "until"),
        ({"until": "2026-03-02T09:45:00"}, "until"),
        ({"until": "2026-03-02T09:50:00Z"}, "until"),
        ({"until": "2026-03-02T09:00:00Z"}, "until"),
        ({"since": "1960-01-01T00:00:00Z"}, "since"),
        ({"amount": "7"}, "amount"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_place(changes: dict[str, str | None], where: str) -> None:
    with pytest.raises(CountInvalid) as caught:
        stated(counting(**changes))
    assert caught.value.where == where


def test_a_count_belongs_to_the_history_of_its_source() -> None:
    given = msgspec.structs.replace(counting(), contact_points=[ContactPoint("source", "pbx/berlin", role="other")])
    decision = decide(given, known())
    assert decision.customer == customer_id(points_of(given)[0][0])
    assert decision.is_new


def test_a_quarter_begins_at_its_first_instant() -> None:
    assert [quarter_of(NINE + at) for at in (-1, 0, QUARTER - 1)] == [NINE - QUARTER, NINE, NINE]
