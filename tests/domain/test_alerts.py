"""Which alerts a clock's verdicts open and close, whatever the order they arrive in, and what a receiver is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.alert_delivery import (
    BACKOFF_CAP,
    PARKING,
    Answer,
    Outcome,
    State,
    Step,
    Telling,
    backoff,
    begin,
    of_status,
    settle,
    step,
)
from domain.alerts import (
    SECOND,
    Alert,
    AlertKey,
    Because,
    Decision,
    Kind,
    Known,
    Phase,
    Reading,
    decide,
    instant,
    labels,
    notes,
    span,
    summary,
)
from schemas.records import SlaVerdictIssued

TICKET = "0f1e2d3c-0000-5000-8000-000000000001"
DUE = 1_772_719_200 * SECOND  # 2026-03-05 14:00 UTC
HOUR = 3600 * SECOND


def verdict(
    outcome: str,
    revision: int,
    episode: int = 0,
    threshold: int | None = None,
    ended_at: int | None = None,
    quiet: str | None = None,
    elapsed: int = HOUR,
) -> SlaVerdictIssued:
    """A verdict on the first response promised within an hour, due at 14:00."""
    return SlaVerdictIssued(
        id=f"00000000-0000-5000-8000-{revision:012d}", tenant="default", customer=TICKET, ticket=TICKET,
        metric="first_response", cycle=1, outcome=outcome, revision=revision, episode=episode, target=HOUR,
        elapsed=elapsed, started_at=DUE - HOUR, judged_at=DUE + 1, policy="standard", policy_version=3,
        calendar="weekdays", calendar_digest="d", boundary="next_open", cause="time", due_at=DUE, threshold=threshold,
        ended_at=ended_at, priority="high", team="support", organisation="vendor-a", quiet=quiet,
    )  # fmt: skip


def breach(episode: int = 0) -> AlertKey:
    return AlertKey(TICKET, "first_response", 1, Kind.BREACH, 0, episode)


def warning(threshold: int, episode: int = 0) -> AlertKey:
    return AlertKey(TICKET, "first_response", 1, Kind.WARNING, threshold, episode)


def read(*verdicts: SlaVerdictIssued) -> list[Decision]:
    known, decisions = Known(), []
    for each in verdicts:
        decisions.append(decide(known, each))
        known = decisions[-1].known
    return decisions


def standing(known: Known) -> set[AlertKey]:
    return {each.key for each in known.alerts if each.open}


def test_a_warning_then_the_breach_which_takes_its_place() -> None:
    first, second = read(verdict("warned", 1, threshold=75), verdict("breached", 2))
    assert (first.opens, first.closes) == (warning(75), ())
    assert (second.opens, second.closes) == (breach(), ((warning(75), Because.BREACHED),))


def test_each_threshold_is_an_alert_of_its_own_and_keeping_the_promise_closes_all() -> None:
    decisions = read(verdict("warned", 1, threshold=75), verdict("warned", 2, threshold=90), verdict("met", 3))
    assert standing(decisions[1].known) == {warning(75), warning(90)}
    assert set(decisions[2].closes) == {(warning(75), Because.MET), (warning(90), Because.MET)}


def test_a_retraction_closes_the_breach_and_a_second_breach_is_a_new_alert() -> None:
    decisions = read(verdict("breached", 1), verdict("retracted", 2), verdict("met", 3, 1), verdict("breached", 4, 2))
    assert decisions[1].closes == ((breach(), Because.RETRACTED),)
    assert decisions[2].reading is Reading.NOTHING_OPEN
    assert decisions[3].opens == breach(2)
    assert breach(2).id != breach().id


def test_a_cancelled_clock_closes_whatever_is_open() -> None:
    assert read(verdict("breached", 1), verdict("cancelled", 2))[1].closes == ((breach(), Because.CANCELLED),)
    assert read(verdict("warned", 1, threshold=75), verdict("cancelled", 2))[1].closes == (
        (warning(75), Because.CANCELLED),
    )


def test_a_later_episode_closes_what_an_earlier_one_left_open() -> None:
    decisions = read(verdict("warned", 1, threshold=75), verdict("warned", 2, 1, threshold=75))
    assert decisions[1].opens == warning(75, 1)
    assert decisions[1].closes == ((warning(75), Because.OVERTAKEN),)


def test_a_breach_is_closed_when_the_promise_is_done_at_last() -> None:
    opened, ended = read(verdict("breached", 1), verdict("ended", 2, ended_at=DUE + HOUR))
    assert (opened.opens, opened.closes) == (breach(), ())
    assert (ended.opens, ended.closes) == (None, ((breach(), Because.ENDED),))


def test_a_quiet_breach_is_kept_and_opens_nothing_but_closes_the_warning() -> None:
    decisions = read(verdict("warned", 1, threshold=75), verdict("breached", 2, quiet="found_late"))
    assert (decisions[1].reading, decisions[1].opens, decisions[1].quiet) == (Reading.QUIET, breach(), "found_late")
    assert decisions[1].closes == ((warning(75), Because.BREACHED),)
    assert standing(decisions[1].known) == set()
    assert read(verdict("breached", 1, quiet="found_late"), verdict("retracted", 2))[1].closes == ()


def test_no_warning_is_opened_while_the_breach_is_open() -> None:
    assert read(verdict("breached", 1), verdict("warned", 2, threshold=90))[1].opens is None


def test_an_outcome_of_a_later_version_changes_nothing() -> None:
    decision = read(verdict("breached", 1), verdict("waived", 2))[1]
    assert (decision.reading, decision.opens, decision.closes) == (Reading.UNKNOWN_OUTCOME, None, ())


def test_only_what_a_repeat_could_change_is_kept() -> None:
    assert not read(verdict("met", 1))[0].worth_keeping
    assert read(verdict("met", 2))[0].worth_keeping
    assert read(verdict("breached", 1))[0].worth_keeping


@st.composite
def courses(draw: st.DrawFn) -> list[SlaVerdictIssued]:
    """The verdicts of one clock in the order and with the numbers that casework gives them."""
    found: list[SlaVerdictIssued] = []
    episode, announced, warned = 0, "", 0
    for _ in range(draw(st.integers(1, 12))):
        quiet = draw(st.sampled_from([None, None, "found_late"]))
        if announced:
            event = draw(st.sampled_from(["retracted", "ended"])) if announced == "breached" else "retracted"
            if event == "retracted":
                found.append(verdict("retracted", len(found) + 1, episode))
                episode, announced, warned = episode + 1, "", 0
            else:
                found.append(verdict("ended", len(found) + 1, episode, ended_at=DUE + HOUR))
            continue
        outcome = draw(st.sampled_from(["warned", "moved", "met", "breached", "cancelled"]))
        if outcome == "moved":
            episode, warned = episode + 1, 0
        elif outcome == "warned" and warned < 90:
            warned = 90 if warned else draw(st.sampled_from([75, 90]))
            found.append(verdict("warned", len(found) + 1, episode, threshold=warned))
        elif outcome != "warned":
            found.append(verdict(outcome, len(found) + 1, episode, quiet=quiet if outcome == "breached" else None))
            announced = outcome
    return found


@st.composite
def with_repeats(draw: st.DrawFn) -> tuple[list[SlaVerdictIssued], list[SlaVerdictIssued]]:
    """A course, and what a reader may see of it: after crashes, stretches of it come again."""
    course = draw(courses())
    seen, position = [], 0
    while position < len(course):
        step_on = draw(st.integers(1, 4))
        seen += course[position : position + step_on]
        position = min(position + step_on, len(course))
        if draw(st.booleans()):
            back = draw(st.integers(0, position))
            seen += course[back:position]
    return course, seen


def opened_and_closed(decisions: list[Decision]) -> tuple[list[AlertKey], list[AlertKey]]:
    return (
        [each.opens for each in decisions if each.opens is not None],
        [key for each in decisions for key, _ in each.closes],
    )


@given(with_repeats())
def test_repeats_change_nothing(case: tuple[list[SlaVerdictIssued], list[SlaVerdictIssued]]) -> None:
    course, seen = case
    assert opened_and_closed(read(*seen)) == opened_and_closed(read(*course))


@given(courses().flatmap(lambda course: st.permutations(course + course)))
def test_in_any_order_each_alert_opens_and_closes_at_most_once_and_ends_right(seen: list[SlaVerdictIssued]) -> None:
    decisions = read(*seen)
    opened, closed = opened_and_closed(decisions)
    assert len(set(opened)) == len(opened)
    assert len(set(closed)) == len(closed)
    for key in closed:
        assert key in opened
    if not seen:
        return
    last = max(seen, key=lambda each: each.revision)
    open_breaches = {key for key in standing(decisions[-1].known) if key.kind == Kind.BREACH}
    over = last.outcome != "breached" or last.ended_at is not None
    assert open_breaches <= (set() if over else {breach(last.episode)})
    if last.outcome in ("met", "breached", "cancelled", "retracted"):
        assert not {key for key in standing(decisions[-1].known) if key.kind == Kind.WARNING}


@given(courses())
def test_in_order_a_loud_breach_stands_until_it_is_retracted_or_ends(course: list[SlaVerdictIssued]) -> None:
    for index, decision in enumerate(read(*course)):
        told = course[index]
        expected = told.outcome == "breached" and told.ended_at is None and told.quiet is None
        assert (breach(told.episode) in standing(decision.known)) == expected


def test_what_an_alert_says() -> None:
    opened = verdict("breached", 1, elapsed=HOUR + 12 * 60 * SECOND)
    alert = Alert(breach(), Phase.OPEN, opened)
    assert summary(alert) == (
        f"The first response promised within 1 h on ticket {TICKET} was due 2026-03-05 14:00 UTC and is 12 min late,"
        " owned by team support of vendor-a."
    )
    told = verdict("warned", 1, threshold=75)
    assert summary(Alert(warning(75), Phase.OPEN, told)) == (
        f"The first response promised within 1 h on ticket {TICKET} is due 2026-03-05 14:00 UTC, with 75 % of the time"
        " used up, owned by team support of vendor-a."
    )
    lead = summary(Alert(warning(-900), Phase.OPEN, verdict("warned", 1, threshold=-900)))
    assert lead.endswith("is due 2026-03-05 14:00 UTC, within 15 min, owned by team support of vendor-a.")
    closed = Alert(breach(), Phase.RESOLVE, opened, verdict("retracted", 2), Because.RETRACTED)
    assert summary(closed).startswith("Over: the first response")
    assert notes(closed)["reason"] == "retracted"
    assert notes(alert)["elapsed"] == "1 h 12 min"


def test_labels_are_equal_when_the_alert_is_closed_by_another_team() -> None:
    opened = verdict("breached", 1)
    closing = SlaVerdictIssued(
        **{name: getattr(opened, name) for name in opened.__struct_fields__}
        | {"outcome": "retracted", "revision": 2, "team": "back-office", "organisation": "own", "priority": "low"}
    )
    alert = Alert(breach(), Phase.OPEN, opened)
    assert labels(alert) == labels(Alert(breach(), Phase.RESOLVE, opened, closing, Because.RETRACTED))
    assert labels(alert) == {
        "alertname": "SlaBreached", "severity": "critical", "tenant": "default", "ticket": TICKET,
        "metric": "first_response", "cycle": "1", "episode": "0", "priority": "high", "team": "support",
        "organisation": "vendor-a",
    }  # fmt: skip
    assert labels(Alert(warning(90), Phase.OPEN, verdict("warned", 1, threshold=90)))["threshold"] == "90"


def test_the_message_id_is_the_same_on_each_attempt_and_differs_by_phase() -> None:
    told = verdict("breached", 1)
    assert Alert(breach(), Phase.OPEN, told).message_id == Alert(breach(), Phase.OPEN, told).message_id
    assert Alert(breach(), Phase.OPEN, told).message_id != Alert(breach(), Phase.RESOLVE, told).message_id


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (4325, "1 h 12 min"), (-5, "0 s")]
)
def test_spans(seconds: int, text: str) -> None:
    assert span(seconds * SECOND) == text


def test_instants() -> None:
    assert instant(DUE) == "2026-03-05 14:00 UTC"
    assert instant(DUE + 61 * SECOND) == "2026-03-05 14:01:01 UTC"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, Answer.ACCEPTED), (202, Answer.ACCEPTED), (204, Answer.ACCEPTED), (302, Answer.MISCONFIGURED),
        (400, Answer.REFUSED), (401, Answer.MISCONFIGURED), (404, Answer.MISCONFIGURED), (410, Answer.GONE),
        (413, Answer.REFUSED), (422, Answer.REFUSED), (429, Answer.THROTTLED), (500, Answer.FAILED),
        (503, Answer.UNAVAILABLE), (599, Answer.FAILED), (700, Answer.FAILED),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, answer: Answer) -> None:
    assert of_status(status) is answer


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_waits_double_up_to_the_cap_and_are_cut_by_at_most_a_half(attempts: int, jitter: float) -> None:
    longest = min(BACKOFF_CAP, SECOND * 2 ** (attempts - 1))
    assert longest / 2 <= backoff(attempts, jitter) <= longest


NOW = 10**15
ANSWERS = st.sampled_from(list(Answer))


@given(
    st.lists(st.tuples(ANSWERS, st.booleans()), max_size=30),
    st.sampled_from([None, 60 * SECOND]),
    st.sampled_from(list(Because)),
    st.integers(0, 30),
    st.booleans(),
)
def test_what_a_receiver_hears(
    answers: list[tuple[Answer, bool]], renew: int | None, because: Because, closed_after: int, during: bool
) -> None:
    """Whatever it answers and whenever the alert is closed: nothing, or the opening, or the opening and the closing."""
    telling = Telling(next_at=NOW)
    accepted: list[Step] = []
    reached = False
    closed = False
    for index, (answer, arrived) in enumerate([*answers, *[(Answer.ACCEPTED, True)] * 35]):
        if index == closed_after and not during:
            telling, closed = close(telling, because), True
        taken = step(telling)
        before = telling
        telling = begin(before, taken)
        if taken in (Step.SUPERSEDE, Step.REST):
            assert taken is Step.REST or not reached
            if taken is Step.SUPERSEDE:
                assert because is not Because.ENDED
            break
        if index == closed_after and during:
            telling, closed = close(telling, because), True
        reached = reached or answer is Answer.ACCEPTED or (arrived and answer in (Answer.DROPPED, Answer.TIMED_OUT))
        if answer is Answer.ACCEPTED:
            accepted.append(taken)
        telling = settle(telling, before, taken, Outcome(answer), NOW, renew, 0.0)
        assert (telling.state is State.PARKED) == (answer in PARKING and taken is not Step.RENEW)
        if telling.state is State.PARKED:
            return
        assert telling.next_at is not None or step(telling) in (Step.REST, Step.RENEW)
    without_renewals = [each for each in accepted if each is not Step.RENEW]
    assert without_renewals in ([], [Step.OPEN], [Step.OPEN, Step.RESOLVE])
    if closed and reached:
        assert without_renewals == [Step.OPEN, Step.RESOLVE]
    if closed and Step.RESOLVE in accepted:
        assert accepted[-1] is Step.RESOLVE


def close(telling: Telling, because: Because) -> Telling:
    """What the inbox does to a telling when its alert is over (``close_deliveries``)."""
    if telling.state not in (State.WAITING, State.ACCEPTED):
        return telling
    return Telling(
        State.WAITING, telling.given, telling.perhaps, because, attempts=0, next_at=NOW, reason=telling.reason
    )


def test_a_breach_retracted_before_anything_was_sent_is_told_to_nobody() -> None:
    assert step(Telling(because=Because.RETRACTED)) is Step.SUPERSEDE
    assert step(Telling(because=Because.ENDED)) is Step.OPEN
    unsure = Telling(because=Because.RETRACTED, perhaps=Phase.OPEN)
    assert step(unsure) is Step.OPEN


def test_an_attempt_that_surely_did_not_arrive_leaves_no_doubt() -> None:
    before = Telling(next_at=NOW)
    for answer, perhaps in [(Answer.UNREACHABLE, Phase.NOTHING), (Answer.DROPPED, Phase.OPEN)]:
        after = settle(begin(before, Step.OPEN), before, Step.OPEN, Outcome(answer), NOW, None, 0.0)
        assert after.perhaps is perhaps
        assert (after.attempts, after.next_at, after.reason) == (1, NOW + SECOND, answer.value)
