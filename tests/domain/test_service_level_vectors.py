"""Published examples of call centres' figures, each computed by the formula it names; none is left out."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.business_time import to_us
from domain.errors import PolicyInvalid
from domain.repeats import Call, classify
from domain.service_levels import (
    DEFAULT,
    FORMULAS,
    SERVICE_LEVELS,
    Bucket,
    Counts,
    abandonment,
    genesys,
    occupancy,
    repeat_rate,
    service_level,
    wait_buckets,
)
from tests.shared import requires_shared, vectors

Vector = dict[str, Any]  # Its shape differs with its op.

MINUTE = 60_000_000
DAY = 86_400_000_000
DOCUMENTED = ("repeat_contact_rate", "occupancy", "classify_repeat")
ICMI = Counts(answered=1000, abandoned=60, answered_within=860, abandoned_within=20, abandoned_short=10)


def counts_of(given: Vector) -> Counts:
    """A vector's counts; what it does not name is none."""
    answered = given.get("answered", given.get("answered_in_T", 0) + given.get("answered_after_T", 0))
    back_within = given.get("callbacks_in_T", 0)
    return Counts(
        answered=answered,
        abandoned=given.get("abandoned", 0),
        answered_within=given.get("answered_in_T", 0),
        abandoned_within=given.get("abandoned_in_T", 0),
        abandoned_short=given.get("abandoned_in_5s", 0),
        left=given.get("flowouts", 0),
        called_back=given.get("callbacks") or back_within,
        called_back_within=back_within,
    )


def check_service_level(vector: Vector) -> None:
    expected = vector["expected"]["percent"]
    ids = SERVICE_LEVELS if vector["formula"] == "any" else (vector["formula"],)
    if vector["formula"] == "genesys":
        ids = (genesys(**vector["options"]),)
    for each in ids:
        found = service_level(each, counts_of(vector["input"])).percent
        assert found == (None if expected is None else Decimal(str(expected)).quantize(Decimal("0.000001"))), each


def check_wait_buckets(vector: Vector) -> None:
    waits = [(call["wait_s"], call["status"] == "answered") for call in vector["calls"]]
    assert wait_buckets(waits, vector["thresholds"]) == [
        Bucket(each["min"], each["max"], each["answered"], each["abandoned"]) for each in vector["expected"]
    ]


def check_documented(vector: Vector) -> None:
    match vector["op"]:
        case "repeat_contact_rate":
            found = repeat_rate(vector["repeat"], vector["total"]).percent
        case "occupancy":
            found = occupancy(vector["interacting_s"], vector["communicating_s"], vector["idle_s"]).percent
        case _:
            calls = [Call(to_us(datetime.fromisoformat(text)), text) for text in vector["calls"]]
            shuffled = random.Random(7).sample(calls, len(calls))
            told = classify(shuffled, vector["window_days"] * DAY, vector["forward_gap_min"] * MINUTE)
            assert [each.kind for each in told] == vector["expected"]
            assert [each.triggers for each in told] == vector["triggers"]
            return
    assert found is not None
    assert float(found) == pytest.approx(vector["expected"]["percent"], abs=1e-6)


@requires_shared
def test_every_vector_of_call_centres() -> None:
    checks = {"service_level": check_service_level, "wait_buckets": check_wait_buckets}
    found = vectors("callcenter_service_level")
    for vector in found:
        checks[vector["op"]](vector)
    assert len(found) >= 9


@requires_shared
def test_every_documented_example_of_a_ratio_or_a_repeat() -> None:
    found = [vector for vector in vectors("documented_worked_examples") if vector.get("op") in DOCUMENTED]
    for vector in found:
        check_documented(vector)
    assert {vector["op"] for vector in found} == set(DOCUMENTED)


@pytest.mark.parametrize(
    ("formula", "percent"),
    [
        (DEFAULT, "81.904762"),
        ("sl_all_credit", "83.018868"),
        ("sl_answered_only", "86.000000"),
        ("sl_strict", "81.132075"),
        ("sl_ignore_short", "82.692308"),
        ("sl_short_credit", "82.075472"),
        ("amazon", "83.018868"),
        ("genesys", "81.132075"),
        ("genesys_without_short_abandons", "81.904762"),
        ("genesys_without_abandons", "86.000000"),
        ("cisco_icm_basic", "86.000000"),
        ("cisco_icm_abandon_ignored", "82.692308"),
        ("cisco_icm_abandon_negative", "81.132075"),
        ("cisco_icm_abandon_positive", "83.018868"),
    ],
)
def test_one_day_by_every_formula(formula: str, percent: str) -> None:
    """ICMI's day of 1,060 calls: five percentage points lie between the formulas."""
    assert service_level(formula, ICMI).percent == Decimal(percent)


def test_flow_outs_and_call_backs_count_where_their_formula_says() -> None:
    day = ICMI._replace(left=50, called_back=10, called_back_within=4)
    assert service_level("genesys_with_flowouts", day).percent == Decimal("77.477477")
    assert service_level("genesys_with_flowouts_without_abandons", day).percent == Decimal("81.904762")
    assert service_level("genesys_with_flowouts_without_short_abandons", day).percent == Decimal("78.181818")
    assert service_level("amazon", day) == (860 + 20 + 4, 1120)
    assert service_level(DEFAULT, day) == (860, 1110)


def test_both_of_genesys_switches_off_take_a_short_abandon_out_once() -> None:
    assert genesys(include_short_abandons=False, include_abandons=False) == "genesys_without_abandons"


def test_abandonment_with_and_without_short_ones() -> None:
    assert abandonment(ICMI, with_short=True).percent == Decimal("5.660377")
    assert abandonment(ICMI, with_short=False).percent == Decimal("4.761905")
    assert abandonment(Counts(abandoned=3, abandoned_short=3), with_short=False).percent is None


def test_an_unknown_formula_is_refused_with_those_there_are() -> None:
    with pytest.raises(PolicyInvalid, match="sl_strict"):
        service_level("80/20", ICMI)


def test_every_formula_says_what_it_is() -> None:
    for name, formula in FORMULAS.items():
        assert formula.id == name
        assert formula.sentence
        assert formula.source


whole = st.integers(0, 10**6)


@given(st.tuples(whole, whole, whole, whole, whole, whole, whole, whole))
def test_a_service_level_lies_between_none_and_all(some: tuple[int, ...]) -> None:
    a, b, c, d, e, f, g, h = some
    short = min(d, c)
    day = Counts(a + b, c, a, min(c, max(e, short)), short, f, g, min(g, h))
    for each in SERVICE_LEVELS:
        found = service_level(each, day).value
        assert found is None or 0 <= found <= 1
