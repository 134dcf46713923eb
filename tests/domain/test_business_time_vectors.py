"""Facts restated from the suites of other business-time engines, each judged by the calendar, or listed with why not.

``ANSWERS`` says how each op is asked of a calendar; ``NOT_RULES`` and ``OTHERS`` say what is left out and why.
An op or file that stands in neither fails, and so does an entry that leaves out nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.business_time import Calendar, from_us, to_us
from domain.calendars import DAYS
from domain.errors import CalendarInvalid, DurationInvalid
from tests.domain.history_pauses import destination, pauses, worked
from tests.shared import requires_shared, vector_names, vectors

pytestmark = requires_shared

Vector = dict[str, Any]  # Its shape differs with its op.

SUITES = (
    "biz_business_time",
    "businesstimedelta",
    "calendar_validation",
    "documented_worked_examples",
    "libredesk_sla_deadline",
    "seatgeek_businesstime",
    "working_hours_business_time",
    "zammad_escalation",
)
OTHER_SUITES = {
    "callcenter_service_level": "ratios of calls, no business time: test_service_level_vectors.py",
    "chatwoot_contact_merge": "merging of contacts, no business time",
}
NOT_RULES = {
    "add_days": "the hub counts open time, not business days: no promise is due at the same hour so many dates later",
    "sub_days": "as add_days",
    "business_days_between": "the hub counts open time, not business days",
    "intersect_periods_forward": "a clock has one calendar; calendars are not intersected",
    "reopen": "a rule of clocks: test_clocks_vectors",
    "elapsed_at_reopen": "a rule of clocks: test_clocks_vectors",
    "goal_change": "a rule of clocks: test_clocks_vectors",
    "simultaneous_conditions": "a rule of clocks: test_clocks_vectors",
    "next_escalation": "a rule of clocks: test_clocks_vectors",
    "timeline": "events of a ticket: test_clocks_vectors",
    "select_policy": "a rule of policies",
    "validate_policy": "a rule of policies",
    "repeat_contact_rate": "a figure: test_service_level_vectors.py",
    "occupancy": "a figure: test_service_level_vectors.py",
    "classify_repeat": "a rule of figures: test_service_level_vectors.py",
}
OTHERS = {
    "biz-033": "takes an interval whose end comes first as 0; the hub takes it as negative, as three other suites do, "
    "so that between(a, b) + between(b, c) == between(a, c) whatever the order",
    "ld-002": "refuses a target of 0; that is for policies to refuse, and add(start, 0) has a meaning for a calendar",
}
ALWAYS = {day: [["00:00", "24:00"]] for day in DAYS}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def calendar(vector: Vector) -> Calendar:
    return Calendar.from_mapping(vector["calendar"])


def seconds(vector: Vector, key: str = "amount_s") -> timedelta:
    return timedelta(microseconds=int(Decimal(str(vector[key])) * 1_000_000))


def rounded(at_us: int) -> int:
    """To the nearest second, halves away from zero: some suites round what they print, the hub doesn't."""
    return int((Decimal(at_us) / 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))


def add(vector: Vector) -> datetime:
    found = calendar(vector).add(at(vector["from"]), seconds(vector), vector["boundary"])
    return from_us(rounded(to_us(found)) * 1_000_000) if "round" in vector else found


def between(vector: Vector) -> int:
    elapsed = calendar(vector).between(at(vector["from"]), at(vector["to"])) // timedelta(microseconds=1)
    assert "round" in vector or elapsed % 1_000_000 == 0
    return rounded(elapsed)


def add_sub_roundtrip(vector: Vector) -> datetime:
    rules, amount = calendar(vector), seconds(vector)
    return rules.subtract(rules.add(at(vector["from"]), amount, vector["boundary"]), amount)


def next_opening(vector: Vector) -> datetime:
    """The first opening that starts after the instant."""
    rules, start = calendar(vector), at(vector["at"])
    return rules.next_open(rules.next_close(start) if rules.is_open(start) else start)


def prev_open(vector: Vector) -> datetime:
    """The end of the open time before the instant: the instant itself if it is inside."""
    tick = timedelta(microseconds=1)
    return calendar(vector).subtract(at(vector["at"]), tick) + tick


def periods_forward(vector: Vector) -> list[tuple[datetime, datetime]]:
    start = at(vector["origin"])
    return calendar(vector).openings(start, start + timedelta(days=60))[: vector["take"]]


def periods_backward(vector: Vector) -> list[tuple[datetime, datetime]]:
    end = at(vector["origin"])
    return calendar(vector).openings(end - timedelta(days=60), end)[::-1][: vector["take"]]


def only(vector: Vector, key: str) -> Calendar:
    """The same calendar, always open but for what stands under one key."""
    rules = vector["calendar"]
    return Calendar.from_mapping({"tz": rules["tz"], "hours": ALWAYS, key: rules[key]})


def is_business_date(vector: Vector, day: date | None = None) -> bool:
    zone = ZoneInfo(vector["calendar"]["tz"])
    start = datetime.combine(day or date.fromisoformat(vector["date"]), time(), zone)
    return calendar(vector).between(start, start + timedelta(days=1)) > timedelta()


def business_dates_after(vector: Vector) -> list[str]:
    start = date.fromisoformat(vector["date"])
    days = (start + timedelta(days=n) for n in range(1, 60))
    return [day.isoformat() for day in days if is_business_date(vector, day)][: vector["take"]]


def business_dates_in(vector: Vector) -> list[str]:
    start, end = date.fromisoformat(vector["from"]), date.fromisoformat(vector["to"])
    days = (start + timedelta(days=n) for n in range((end - start).days))
    return [day.isoformat() for day in days if is_business_date(vector, day)]


def resolve_local(vector: Vector) -> datetime:
    """The bound of an interval at that wall-clock time: its start, or at 24:00 its end."""
    day, text = date.fromisoformat(vector["date"]), vector["time"][:8]
    before = datetime.combine(day, time(), ZoneInfo(vector["tz"])) - timedelta(hours=1)
    spans = [["00:00", text]] if text == "24:00:00" else [[text, "24:00"]]
    rules = Calendar.from_mapping({"tz": vector["tz"], "hours": {DAYS[day.weekday()]: spans}})
    return rules.next_close(before) if text == "24:00:00" else rules.next_open(before)


def januaries() -> Calendar:
    """What the open_periods of the consume vectors are: each January, whole."""
    return Calendar.from_mapping({"hours": ALWAYS, "holidays": ["02-01/12-31"]})


def consumed(vector: Vector) -> tuple[datetime, datetime]:
    """What a duration is used up in: the first and the last of its instants."""
    start, end = (at(text) for text in vector["open_periods"][0])
    if op(vector) == "consume_forward":
        return start, januaries().add(start, seconds(vector), "next_open")
    return januaries().subtract(end, seconds(vector)), end


ANSWERS: dict[str, Callable[[Vector], object]] = {
    "add": add,
    "sub": lambda vector: calendar(vector).subtract(at(vector["from"]), seconds(vector)),
    "add_sub_roundtrip": add_sub_roundtrip,
    "between": between,
    "in_hours": lambda vector: calendar(vector).is_open(at(vector["at"])),
    "next_open": lambda vector: calendar(vector).next_open(at(vector["at"])),
    "next_close": lambda vector: calendar(vector).next_close(at(vector["at"])),
    "next_opening": next_opening,
    "prev_open": prev_open,
    "on_break": lambda vector: not only(vector, "breaks").is_open(at(vector["at"])),
    "on_holiday": lambda vector: not only(vector, "holidays").is_open(at(vector["at"])),
    "periods_forward": periods_forward,
    "periods_backward": periods_backward,
    "periods_forward_until": lambda v: calendar(v).openings(at(v["origin"]), at(v["until"])),
    "periods_backward_until": lambda v: calendar(v).openings(at(v["until"]), at(v["origin"]))[::-1],
    "is_business_date": is_business_date,
    "business_dates_after": business_dates_after,
    "business_dates_in": business_dates_in,
    "resolve_local": resolve_local,
    "destination_time": destination,
    "period_working_minutes": worked,
    "pauses_from_history": pauses,
    "first_response": lambda v: {
        "first_response_s": Calendar.from_mapping({"hours": ALWAYS}).between(at(v["created_at"]), at(v["replied_at"]))
        // timedelta(seconds=1)
    },
}


def op(vector: Vector) -> str:
    return str(vector.get("op", "timeline"))


def expected(vector: Vector) -> object:
    """As the vector has it, with instants read; where the source differs from exact arithmetic, the exact one."""
    for key in ("expected_exact", "expected_elapsed", "expected"):
        if key in vector:
            return instants(vector[key])
    raise AssertionError(f"{vector['id']} expects nothing")


def instants(value: object) -> object:
    if isinstance(value, list):
        return [tuple(at(text) for text in item) if isinstance(item, list) else item for item in value]
    return at(value) if isinstance(value, str) and "T" in value else value


ALL = [vector for suite in SUITES for vector in vectors(suite)]
SPECIAL = ("validate_calendar", "consume_forward", "consume_backward")


def chosen(*ops: str) -> list[Any]:  # pytest.param has no public type.
    """The vectors of these ops that are not left out, by id."""
    found = [vector for vector in ALL if op(vector) in ops and vector["id"] not in OTHERS]
    return [pytest.param(vector, id=vector["id"]) for vector in found]


def test_every_vector_is_asked_or_left_out_with_its_reason() -> None:
    assert set(vector_names()) == set(SUITES) | set(OTHER_SUITES)
    ops = {op(vector) for vector in ALL}
    asked = set(ANSWERS) | set(SPECIAL)
    assert ops == asked | set(NOT_RULES)
    assert not asked & set(NOT_RULES)
    assert set(OTHERS) <= {vector["id"] for vector in ALL if op(vector) in asked}
    answered = [vector["id"] for vector in ALL if op(vector) in asked and vector["id"] not in OTHERS]
    assert len(answered) == len(set(answered)) >= 398


@pytest.mark.parametrize("vector", chosen(*ANSWERS))
def test_the_calendar_gives_the_answer_of_the_vector(vector: Vector) -> None:
    if "expected_error" in vector:
        refusals = {"invalid_duration": DurationInvalid, "never_open": CalendarInvalid}
        with pytest.raises(refusals[vector["expected_error"]]):
            ANSWERS[op(vector)](vector)
    else:
        assert ANSWERS[op(vector)](vector) == expected(vector)


@pytest.mark.parametrize("vector", chosen("consume_forward", "consume_backward"))
def test_a_duration_is_consumed_from_explicit_openings(vector: Vector) -> None:
    if vector["amount_s"] < 0:
        assert vector["expected"] == []
        with pytest.raises(DurationInvalid):
            consumed(vector)
        return
    bounds = [at(text) for period in vector["expected"] for text in period]
    assert consumed(vector) == (min(bounds), max(bounds))


@pytest.mark.parametrize("vector", chosen("validate_calendar"))
def test_a_calendar_is_valid_or_refused_with_its_place(vector: Vector) -> None:
    if vector["expected"]["valid"]:
        assert calendar(vector).next_open(datetime(2024, 1, 1, tzinfo=UTC))
        return
    with pytest.raises(CalendarInvalid) as refused:
        calendar(vector)
    assert refused.value.where.startswith("calendar.")
    assert refused.value.reason in {"no_hours", "bad_interval", "overlap", "unknown_key", "unknown_zone"}
