"""Repeat contacts and first-contact resolution: charged once, to who handled the contact before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.repeats import FORWARD_GAP, WINDOW, Call, Owner, Resolution, classify, first_contact

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
VENDOR, OWN = Owner("vendor-a", "first line", "anna"), Owner("own", "second line", "ben")


def test_a_repeat_is_charged_to_who_handled_the_contact_before_it() -> None:
    told = classify([Call(0, "a", VENDOR), Call(DAY, "b", OWN), Call(2 * DAY, "c", OWN)])
    assert [each.kind for each in told] == ["initial", "repeat", "repeat"]
    assert [each.charged_to for each in told] == [None, VENDOR, OWN]
    assert [each.before for each in told] == [None, "a", "b"]


def test_the_bounds_of_a_forwarding_and_of_the_window() -> None:
    for gap, kind in (
        (FORWARD_GAP - 1, "forwarded"),
        (FORWARD_GAP, "repeat"),
        (WINDOW - 1, "repeat"),
        (WINDOW, "initial"),
    ):
        assert classify([Call(0, "a"), Call(gap, "b")])[1].kind == kind


calls = st.lists(
    st.builds(Call, st.integers(0, 40 * DAY), st.uuids().map(str), st.sampled_from([VENDOR, OWN])), max_size=20
)


@given(calls, st.randoms(use_true_random=False))
def test_each_repeat_is_charged_once_whatever_the_order(some: list[Call], chance: random.Random) -> None:
    told = classify(some)
    repeats = [each for each in told if each.kind == "repeat"]
    assert len(repeats) == sum(each.triggers for each in told) == sum(each.charged_to is not None for each in told)
    assert [each.before for each in repeats] == [each.call.key for each in told if each.triggers]
    shuffled = some + some[: len(some) // 2]
    chance.shuffle(shuffled)
    assert classify(shuffled) == told


def judged(**changes: object) -> Resolution | None:
    plain: dict[str, object] = {
        "resolved_at": HOUR,
        "contacts": 1,
        "organisations": ["vendor-a"],
        "reopened": 0,
        "repeated": False,
        "contact_at": 0,
        "window": WINDOW,
        "now": WINDOW,
    }
    return first_contact(**{**plain, **changes})  # type: ignore[arg-type]  # as named there


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({}, "first_contact"),
        ({"organisations": ["vendor-a", None, "vendor-a"]}, "first_contact"),
        ({"contacts": 2}, "more_contacts"),
        ({"organisations": ["vendor-a", "own"]}, "other_organisation"),
        ({"reopened": 1}, "reopened"),
        ({"repeated": True}, "repeated"),
    ],
)
def test_what_speaks_against_a_first_contact_resolution(changes: dict[str, object], because: str) -> None:
    found = judged(**changes)
    assert found is not None
    assert (found.first, found.because) == (because == "first_contact", because)


def test_a_first_contact_resolution_is_provisional_while_the_customer_may_still_come_back() -> None:
    assert judged(now=WINDOW - 1) == Resolution(True, "first_contact", provisional=True)
    assert judged(now=WINDOW) == Resolution(True, "first_contact", provisional=False)
    assert judged(now=0, repeated=True) == Resolution(False, "repeated", provisional=False)
    assert judged(resolved_at=None) is None
