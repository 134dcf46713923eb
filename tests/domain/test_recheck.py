"""A verdict's evidence is enough: whatever story made it, it rechecks clean, and whatever is changed in it is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.attribution import shares
from domain.business_time import Calendar
from domain.policies import Bundle
from domain.recheck import MEANINGS, OUTCOMES, Difference, Finding, recheck, terms_of
from schemas.records import InteractionReceived, Interval, SlaVerdictIssued
from tests.domain.random_stories import EVERYTHING, OPENING, played, steps
from tests.domain.stories import HOUR, command, event

Story = list[InteractionReceived | float | Bundle]
#: A clock that changed hands between calendars, one that stood still, and a breach that was taken back.
TOLD: Story = [
    OPENING,
    command("night", "ticket.assigned", 30, OPENING.id, organisation="own", team="night"),
    command("wait", "ticket.status_set", 50, OPENING.id, status="on_hold"),
    event("back", "email.received", 100),
    command("vendor", "ticket.assigned", 110, OPENING.id, organisation="vendor-a", team="first-line"),
    200.0,
    220.0,
    1000.0,
    2000.0,
    event("reply", "email.sent", 2010),
    command("up", "ticket.prioritised", 2020, OPENING.id, priority="urgent"),
    2030.0,
    command("done", "ticket.status_set", 2040, OPENING.id, status="resolved"),
    event("late reply", "email.sent", 40, received=2050),
    event("again", "email.received", 2060),
    command("away", "ticket.assigned", 2070, OPENING.id, organisation="vendor-b"),
]


CANCELLED: Story = [OPENING, command("done", "ticket.status_set", 30, OPENING.id, status="resolved")]


@settings(max_examples=200, deadline=None)
@given(steps())
def test_a_verdict_of_any_story_follows_from_its_evidence(story: Story) -> None:
    verdicts, calendars = played(story, EVERYTHING)
    for verdict in verdicts:
        assert recheck(verdict, calendars) == [], verdict
        assert sum(share.counted for share in shares(verdict.evidence).values()) == verdict.elapsed


def changed(verdict: SlaVerdictIssued, index: int, **fields: object) -> SlaVerdictIssued:
    """The verdict with one of its stretches changed."""
    evidence = list(verdict.evidence)
    evidence[index] = msgspec.structs.replace(evidence[index], **fields)
    return msgspec.structs.replace(verdict, evidence=evidence)


def tamperings(verdict: SlaVerdictIssued, calendars: dict[str, Calendar]) -> Iterator[tuple[str, SlaVerdictIssued]]:
    """The verdict with one thing changed, in every place where its evidence alone tells what should stand there."""
    replace = msgspec.structs.replace
    for outcome in {*OUTCOMES, "kept"} - {verdict.outcome}:
        yield f"outcome {outcome}", replace(verdict, outcome=outcome)
    for name in ("ticket", "metric", "id", "calendar_digest"):
        yield name, replace(verdict, **{name: "another"})
    for name in ("cycle", "revision"):
        yield name, replace(verdict, **{name: getattr(verdict, name) + 1})
    for by in (-HOUR, -1, 1, HOUR):
        yield f"elapsed {by}", replace(verdict, elapsed=verdict.elapsed + by)
        if verdict.due_at is not None:
            yield f"due_at {by}", replace(verdict, due_at=verdict.due_at + by)
        if verdict.ended_at is not None:
            yield f"ended_at {by}", replace(verdict, ended_at=verdict.ended_at + by)
    yield "due_at", replace(verdict, due_at=None if verdict.due_at is not None else verdict.judged_at)
    yield "ended_at", replace(verdict, ended_at=None if verdict.ended_at is not None else verdict.evidence[-1].end)
    yield "started_at", replace(verdict, started_at=verdict.evidence[0].begin + 1)
    yield "threshold", replace(verdict, threshold=None if verdict.threshold is not None else 75)
    yield "organisation", replace(verdict, organisation="another")
    yield "team", replace(verdict, team="another")
    yield "quiet", replace(verdict, quiet=None if verdict.quiet else "found_late")
    for index, each in enumerate(verdict.evidence):
        at = f"evidence[{index}]"
        yield f"{at} removed", replace(verdict, evidence=[*verdict.evidence[:index], *verdict.evidence[index + 1 :]])
        for by in (-HOUR, -1, 1, HOUR):
            yield f"{at}.counted {by}", changed(verdict, index, counted=each.counted + by)
        if each.counted:
            yield f"{at}.running", changed(verdict, index, running=not each.running)
        if index:
            yield f"{at}.begin", changed(verdict, index, begin=each.begin - 1)
            yield f"{at}.began_by", changed(verdict, index, began_by="another")
        yield f"{at}.ended_by", changed(verdict, index, ended_by="another" if each.ended_by == "now" else "now")
        yield f"{at}.calendar", changed(verdict, index, calendar_digest="another")
        if index + 1 < len(verdict.evidence):
            yield f"{at}.end", changed(verdict, index, end=each.end + 1)


@settings(max_examples=60, deadline=None)
@given(steps(), st.data())
def test_any_single_change_of_a_verdict_is_found(story: Story, data: st.DataObject) -> None:
    verdicts, calendars = played(story, EVERYTHING)
    assume(verdicts)
    verdict = data.draw(st.sampled_from(verdicts))
    for name, tampered in tamperings(verdict, calendars):
        assert recheck(tampered, calendars), f"{name} was changed, and nobody noticed: {tampered}"


def test_every_outcome_rechecks_clean_and_every_change_of_it_is_found() -> None:
    verdicts, calendars = played(TOLD)
    verdicts += played(CANCELLED)[0]
    assert {verdict.outcome for verdict in verdicts} == set(OUTCOMES)
    assert any(each.calendar for verdict in verdicts for each in verdict.evidence), "a clock of two calendars"
    assert any(not each.running for verdict in verdicts for each in verdict.evidence), "one that stood still"
    found = Counter[Finding]()
    for verdict in verdicts:
        assert recheck(verdict, calendars) == []
        for name, tampered in tamperings(verdict, calendars):
            differences = recheck(tampered, calendars)
            assert differences, f"{name} of a verdict {verdict.outcome}"
            found.update(each.finding for each in differences)
    assert set(found) >= set(Finding) - {Finding.REVERSED, Finding.UNKNOWN_INSTANT}


def breached() -> tuple[SlaVerdictIssued, dict[str, Calendar]]:
    verdicts, calendars = played(TOLD)
    return next(each for each in verdicts if each.outcome == "ended" and len(each.evidence) > 2), calendars


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: changed(v, 1, counted=v.evidence[1].counted + 7), {Finding.COUNTED, Finding.SUM}),
        (lambda v: changed(v, 0, end=v.evidence[0].begin - 1), {Finding.REVERSED, Finding.GAP, Finding.COUNTED}),
        (lambda v: changed(v, -1, end=9_000_000_000_000_000), {Finding.ENDED, Finding.UNKNOWN_INSTANT}),
        (lambda v: msgspec.structs.replace(v, elapsed=1), {Finding.SUM}),
        (lambda v: msgspec.structs.replace(v, evidence=[]), {Finding.NO_EVIDENCE}),
        (lambda v: msgspec.structs.replace(v, team="care"), {Finding.OWNER}),
        (lambda v: msgspec.structs.replace(v, person="agent-9"), {Finding.OWNER}),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[SlaVerdictIssued], SlaVerdictIssued], expected: set[Finding]) -> None:
    verdict, calendars = breached()
    assert {each.finding for each in recheck(change(verdict), calendars)} >= expected


def test_a_difference_says_where_it_is_what_stands_there_and_what_should() -> None:
    verdict, calendars = breached()
    counted = verdict.evidence[0].counted
    assert Difference(Finding.COUNTED, "evidence[0].counted", 5, counted) in recheck(
        changed(verdict, 0, counted=5), calendars
    )


def test_each_finding_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Finding)


def test_a_warning_by_a_lead_is_held_against_the_due_time() -> None:
    verdicts, calendars = played(TOLD)
    warned = next(each for each in verdicts if each.outcome == "warned" and each.due_at is not None)
    left = (warned.due_at or 0) - warned.judged_at
    lead = -(left // 1_000_000)
    assert recheck(msgspec.structs.replace(warned, threshold=lead - 1), calendars) == []
    [wrong] = recheck(msgspec.structs.replace(warned, threshold=lead + 10), calendars)
    assert wrong.finding is Finding.THRESHOLD


def test_a_stretch_under_other_terms_names_them_and_the_others_take_the_verdicts() -> None:
    verdict, _ = breached()
    told = [terms_of(verdict, each) for each in verdict.evidence]
    assert {each.calendar for each in told} > {verdict.calendar}
    plain = Interval(0, 1, 1, "a", "b", "open")
    assert terms_of(verdict, plain).target == verdict.target
