"""Figures of a group: what goes above and below the line, what is left out, and when there is no value."""

from __future__ import annotations

from decimal import Decimal

from domain.figures import MIXED, UNKNOWN, Customers, Figure, Tally, figures
from domain.policies import QueueTerms
from domain.policy_checks import problems
from domain.service_levels import DEFAULT, FORMULAS, Counts

SECOND = 1_000_000
DAY = Tally(
    "shipping",
    Counts(
        answered=6, abandoned=3, answered_within=4, abandoned_within=2, abandoned_short=1, left=1, called_back=1,
        called_back_within=1,
    ),
    waited=120 * SECOND,
    handled=5,
    talked=900 * SECOND,
    held=60 * SECOND,
    wrapped_up=100 * SECOND,
    transferred=1,
    transferred_out=1,
    waiting=2,
    wait_unknown=1,
    talk_unknown=1,
    wrap_up_unknown=2,
    vendor_waits=1,
    vendor_talks=3,
)  # fmt: skip
ELSEWHERE = Tally("billing", Counts(answered=4, answered_within=4), waited=8 * SECOND)
DIRECT = Tally(None, handled=3, talked=30 * SECOND, not_queued=4)


def by_name(
    *tallies: Tally, agreed: dict[str, str] | None = None, customers: Customers | None = None
) -> dict[str, Figure]:
    return {each.name: each for each in figures(tallies, agreed or {}, customers or Customers())}


def fraction(figure: Figure) -> tuple[float, int]:
    """Numerator and denominator."""
    return float(figure.numerator), figure.denominator


def test_a_day_of_one_queue() -> None:
    day = by_name(DAY)
    level = day["service_level"]
    assert (fraction(level), level.value, level.formula) == ((4, 10), Decimal(40), DEFAULT)
    assert level.left_out == {"waiting": 2, "wait_unknown": 1}
    assert level.notes == {"vendor_waits": 1}
    assert fraction(day["abandonment"]) == (3, 11)
    assert fraction(day["abandonment_less_short"]) == (2, 10)
    assert day["abandonment_less_short"].left_out == {"waiting": 2, "wait_unknown": 1, "short": 1}
    speed = day["average_speed_of_answer"]
    assert (fraction(speed), speed.value, speed.unit) == ((120, 6), Decimal(20), "seconds")
    assert speed.left_out == {"waiting": 2, "wait_unknown": 1, "not_answered": 5}
    handling = day["average_handling_time"]
    assert (fraction(handling), handling.value) == ((1060, 5), Decimal(212))
    assert handling.left_out == {"talk_unknown": 1}
    assert handling.notes == {"wrap_up_unknown": 2, "vendor_talks": 3}
    assert day["transfers"].value == 20
    assert day["transfers"].notes == {"transferred_out": 1}


def test_each_queue_counts_by_its_own_terms_and_one_formula() -> None:
    both = by_name(DAY, ELSEWHERE, DIRECT)["service_level"]
    assert (fraction(both), both.formula) == ((8, 14), DEFAULT)
    assert both.left_out["not_queued"] == 4
    strict = by_name(DAY, ELSEWHERE, agreed={"shipping": "sl_strict", "billing": "sl_strict"})["service_level"]
    assert (fraction(strict), strict.formula) == ((8, 13), "sl_strict")


def test_two_formulas_have_no_common_value() -> None:
    mixed = by_name(DAY, ELSEWHERE, agreed={"shipping": "sl_strict"})["service_level"]
    assert (mixed.value, mixed.formula, mixed.left_out[MIXED]) == (None, None, 15)
    quiet = by_name(DAY, Tally("billing"), agreed={"shipping": "sl_strict"})["service_level"]
    assert quiet.formula == "sl_strict", "where nobody called, nothing has to be mixed"


def test_a_formula_that_nobody_knows_is_refused_and_on_an_old_log_has_no_value() -> None:
    (fault,) = problems({"name": "standard", "queues": {"shipping": {"formula": "80/20"}}})
    assert fault.where == "queues.shipping.formula"
    assert "sl_strict" in fault.detail
    level = by_name(DAY, agreed={"shipping": "80/20"})["service_level"]
    assert (level.value, level.formula, level.left_out[UNKNOWN]) == (None, None, 11)


def test_nothing_is_neither_good_nor_bad() -> None:
    for each in figures([], {}, Customers()):
        assert (each.value, each.denominator) == (None, 0)
    assert by_name(DIRECT)["service_level"].value is None
    assert by_name(DIRECT)["average_handling_time"].value == 10


def test_repeats_and_first_contacts_say_what_is_provisional() -> None:
    week = Customers(
        contacts=600, repeated=60, open_windows=40, resolved=8, resolved_first=6, provisional=2, unresolved=3
    )
    found = by_name(customers=week)
    assert found["repeat_contacts"].value == 10
    assert found["repeat_contacts"].notes == {"provisional": 40}
    first = found["first_contact_resolution"]
    assert first.value == 75
    assert first.left_out == {"unresolved": 3}
    assert first.notes == {"provisional": 2}


def test_the_usual_terms_are_those_of_the_contract() -> None:
    usual = QueueTerms("any")
    assert (usual.answer_within, usual.short_abandon, usual.formula) == (20 * SECOND, 5 * SECOND, DEFAULT)


def test_every_figure_has_a_formula_of_its_name() -> None:
    for each in figures([DAY], {}, Customers()):
        assert each.formula is not None
        assert FORMULAS[each.formula].figure == each.name


def test_a_mean_is_rounded_once_at_the_end() -> None:
    third = Tally("shipping", Counts(answered=3, answered_within=3), waited=10 * SECOND)
    assert by_name(third)["average_speed_of_answer"].value == Decimal("3.333333")
