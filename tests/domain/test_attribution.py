"""Whose seconds they were: for any course of hand-overs the shares sum exactly to what the clock counted."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.attribution import (
    Breach,
    Share,
    by_organisation,
    charged,
    of_breaches,
    overrun,
    parts,
    segments,
    shares,
)
from domain.repeats import Owner
from schemas.records import Interval

HOUR = 3600 * 1_000_000
VENDOR, OWN = "vendor-a", "own"


def interval(begin: int, end: int, counted: int, organisation: str | None, status: str = "open") -> Interval:
    """Hours of an organisation's, of which so many were counted."""
    return Interval(
        begin * HOUR, end * HOUR, counted * HOUR, "", "", status, organisation=organisation, running=status == "open"
    )


HANDED_OVER = [
    interval(0, 2, 2, VENDOR),
    interval(2, 5, 3, OWN),
    interval(5, 9, 0, VENDOR, "pending"),
    interval(9, 10, 1, VENDOR),
]


def test_vendor_then_own_team_then_vendor_again() -> None:
    """Six hours were counted; the own team's three, and the four of waiting for the customer, are not the vendor's."""
    assert by_organisation(HANDED_OVER) == {VENDOR: Share(3 * HOUR, 4 * HOUR), OWN: Share(3 * HOUR, 0)}
    assert parts(HANDED_OVER) == {VENDOR: Fraction(1, 2), OWN: Fraction(1, 2)}
    assert [(each.owner.organisation, each.counted // HOUR) for each in segments(HANDED_OVER)] == [
        (VENDOR, 2), (OWN, 3), (VENDOR, 1),
    ]  # fmt: skip


def test_who_held_it_when_the_target_was_used_up_and_who_after() -> None:
    assert overrun(HANDED_OVER, 4 * HOUR) == {OWN: HOUR, VENDOR: HOUR}
    assert overrun(HANDED_OVER, HOUR) == {VENDOR: 2 * HOUR, OWN: 3 * HOUR}
    assert overrun(HANDED_OVER, 6 * HOUR) == {}


def test_a_breach_is_charged_once_and_its_parts_are_a_whole() -> None:
    """The own team held it when the four hours were used up; each had half of the time that counted."""
    assert charged(HANDED_OVER, 4 * HOUR) == OWN
    found = of_breaches([Breach("resolution", 4 * HOUR, HANDED_OVER), Breach("resolution", HOUR, HANDED_OVER[:1])])
    vendor, own = found["resolution", VENDOR], found["resolution", OWN]
    assert (vendor.charged, vendor.held, vendor.part) == (1, 2, Fraction(3, 2))
    assert (vendor.counted, vendor.stood, vendor.overrun) == (5 * HOUR, 4 * HOUR, 2 * HOUR)
    assert (own.charged, own.held, own.part) == (1, 1, Fraction(1, 2))
    assert (own.counted, own.stood, own.overrun) == (3 * HOUR, 0, HOUR)


def test_nobody_is_charged_for_nothing() -> None:
    assert parts([]) == parts([interval(0, 3, 0, VENDOR, "pending")]) == {}


owners = st.builds(
    Owner,
    st.sampled_from([None, VENDOR, OWN]),
    st.sampled_from([None, "care", "desk"]),
    st.sampled_from([None, "anna", "ben"]),
)


@st.composite
def courses(draw: st.DrawFn) -> list[Interval]:
    """Evidence as clocks give it: without holes, each stretch with its owner, some in which the clock stood still."""
    at, found = draw(st.integers(0, 10**15)), []
    for _ in range(draw(st.integers(0, 12))):
        length = draw(st.integers(0, 10**10))
        running = draw(st.booleans())
        counted = draw(st.integers(0, length)) if running else 0
        owner = draw(owners)
        found.append(
            Interval(
                at, at + length, counted, "", "", "open", owner.team, owner.organisation, owner.person, running=running
            )
        )
        at += length
    return found


@given(courses(), st.integers(0, 10**11))
def test_the_shares_sum_exactly(evidence: list[Interval], target: int) -> None:
    elapsed = sum(each.counted for each in evidence)
    waited = evidence[-1].end - evidence[0].begin if evidence else 0
    for held in (shares(evidence), by_organisation(evidence)):
        assert sum(share.counted for share in held.values()) == elapsed
        assert sum(share.counted + share.stood for share in held.values()) == waited
    assert sum(parts(evidence).values()) == (1 if elapsed else 0)
    assert sum(overrun(evidence, target).values()) == max(0, elapsed - target)
    joined = segments(evidence)
    assert all(one.end == other.begin and one.owner != other.owner for one, other in pairwise(joined))


@given(st.lists(st.builds(Breach, st.just("resolution"), st.integers(0, 10**11), courses()), max_size=5))
def test_each_breach_is_charged_to_one_and_divided_whole(breaches: list[Breach]) -> None:
    found = of_breaches(breaches)
    assert sum(held.charged for held in found.values()) == sum(bool(each.evidence) for each in breaches)
    counted = [each for each in breaches if any(interval.counted for interval in each.evidence)]
    assert sum(held.part for held in found.values()) == len(counted)


@given(courses())
def test_an_owner_has_only_what_was_counted_while_he_held_it(evidence: list[Interval]) -> None:
    for owner, share in shares(evidence).items():
        his = [e for e in evidence if Owner(e.organisation, e.team, e.person) == owner]
        assert share.counted == sum(each.counted for each in his if each.running)
