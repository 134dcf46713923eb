"""What a cycle comes to, with every figure: what counts, when it is due, what was reached, and what looks again when.

Instants and durations are minutes; the ticket is what its moments say, and the clock runs around the clock unless a
test says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.cycles import Cycle
from domain.policies import Attributes, Bundle
from domain.sla import NOW, Judged, evidence, judge
from domain.tickets import Moment
from schemas.casework_state import Fact
from schemas.records import Interval
from tests.domain.clocks import policy
from tests.domain.histories import history_of
from tests.domain.stories import AROUND_THE_CLOCK, HOUR, MINUTE, START, bundle

TICK = 1 / MINUTE  # a microsecond
TWO_HOURS = {"normal": "2h", "urgent": "1h"}
TERMS = bundle(1, policy(resolution=TWO_HOURS, total_resolution=TWO_HOURS, warnings=[50, "15m"]))


def moment(minutes: float, status: str = "open", priority: str = "normal", **told: str) -> Moment:
    return Moment(us(minutes), f"at {minutes:g}", status, Attributes("t", "email", priority, "", **told))


def us(minutes: float) -> int:
    return START + round(minutes * MINUTE)


class Found(NamedTuple):
    """A judgement in minutes."""

    outcome: str
    state: str
    elapsed: float
    due: float | None
    ended: float | None
    passed: tuple[int, ...]
    again: float | None


def told(
    *moments: Moment, now: float = 0, start: float = 0, stop: float | None = None, kind: str = "met", by: Bundle = TERMS
) -> Judged | None:
    """The resolution by ``now``, begun at ``start`` and stopped, if it was, by the event ``stop``."""
    course = history_of(moments)
    ended = (None, "", "") if stop is None else (us(stop), "stop", kind)
    return judge(Cycle("resolution", us(start), "start", *ended), course, by, us(now))


def found(
    *moments: Moment, now: float = 0, start: float = 0, stop: float | None = None, kind: str = "met", by: Bundle = TERMS
) -> Found:
    return short(told(*moments, now=now, start=start, stop=stop, kind=kind, by=by))


def short(judged: Judged | None) -> Found:
    assert judged is not None
    assert judged.breached_at == (judged.due_at if judged.outcome == "breached" else None)
    return Found(
        judged.outcome,
        judged.state,
        judged.elapsed / MINUTE,
        minutes(judged.due_at),
        minutes(judged.ended_at),
        judged.passed,
        minutes(judged.next_at),
    )


def minutes(at: int | None) -> float | None:
    return None if at is None else (at - START) / MINUTE


def pieces(judged: Judged | None) -> list[tuple[float | None, float | None, float, str, str, bool, bool, float]]:
    """From, to, counted, status, ended by, whether it ran and a policy held, and the target in minutes."""
    assert judged is not None
    return [
        (minutes(begin), minutes(end), counted / MINUTE, at.status, by, ran, terms is not None, target / MINUTE)
        for begin, end, counted, at, by, ran, terms, target in judged.pieces
    ]


BEGUN = moment(0)


def test_an_open_clock_runs_towards_its_due() -> None:
    assert found(BEGUN, now=30) == ("", "running", 30, 120, None, (), 60)
    assert found(BEGUN, now=60 - TICK).passed == ()
    assert found(BEGUN, now=60) == ("", "running", 60, 120, None, (50,), 105)
    assert found(BEGUN, now=105) == ("", "running", 105, 120, None, (50, -900), 120 + TICK)
    assert found(BEGUN, now=120) == ("", "running", 120, 120, None, (50, -900), 120 + TICK)
    assert found(BEGUN, now=120 + TICK) == ("breached", "breached_running", 120 + TICK, 120, None, (), None)
    assert pieces(told(BEGUN, now=30)) == [(0, 30, 30, "open", NOW, True, True, 120)]
    assert found(BEGUN, now=-5) == ("", "running", 0, 120, None, (), 60), "before it begins nothing has passed"


def test_a_clock_that_was_stopped() -> None:
    assert found(BEGUN, now=500, stop=30) == ("met", "met", 30, 120, 30, (), None)
    assert found(BEGUN, now=500, stop=120).outcome == "met"
    assert found(BEGUN, now=500, stop=120 + TICK) == ("breached", "breached", 120 + TICK, 120, 120 + TICK, (), None)
    assert found(BEGUN, now=500, stop=30, kind="cancelled")[:2] == ("cancelled", "cancelled")
    assert found(BEGUN, now=500, stop=130, kind="cancelled")[:2] == ("breached", "breached")
    judged = told(BEGUN, now=500, stop=30)
    assert judged is not None
    assert (judged.metric, judged.cycle, judged.started_at, judged.started_by) == ("resolution", 0, START, "start")
    assert (judged.policy, judged.bundle, judged.target) == (TERMS.policies[0], TERMS, 2 * HOUR)
    assert pieces(judged) == [(0, 30, 30, "open", "stop", True, True, 120)]
    assert (judged.ended_at, judged.elapsed) == (us(30), 30 * MINUTE)


def test_pauses_do_not_count_and_the_due_moves_behind_them() -> None:
    course = BEGUN, moment(30, "pending"), moment(90)
    assert found(*course[:2], now=50) == ("", "paused", 30, None, None, (), None)
    assert found(*course, now=100) == ("", "running", 40, 180, None, (), 120)
    assert pieces(told(*course, now=100)) == [
        (0, 30, 30, "open", "at 30", True, True, 120),
        (30, 90, 0, "pending", "at 90", False, True, 120),
        (90, 100, 10, "open", NOW, True, True, 120),
    ]
    assert found(*course, now=165).passed == (50, -900)
    assert found(*course, now=180 + TICK) == ("breached", "breached_running", 120 + TICK, 180, None, (), None)


def test_resolved_time_counts_only_where_the_cycle_says_so() -> None:
    course = BEGUN, moment(30, "resolved"), moment(90)
    assert found(*course, now=100).elapsed == 40
    history = history_of(course)
    counted = judge(Cycle("resolution", START, "start", counts_closed=True), history, TERMS, us(100))
    assert short(counted).elapsed == 100


def test_no_pause_undoes_a_breach() -> None:
    late = BEGUN, moment(130, "pending")
    assert found(*late, now=200) == ("breached", "breached_running", 130, 120, None, (), None)
    at_due = BEGUN, moment(120, "pending")
    assert found(*at_due, now=200) == ("", "paused", 120, None, None, (), None), "used up, and not exceeded"
    assert found(*at_due, moment(200), now=200 + TICK)[:4] == ("breached", "breached_running", 120 + TICK, 200)
    again = BEGUN, moment(130, "pending"), moment(150)
    assert found(*again, now=200)[:4] == ("breached", "breached_running", 180, 120)


def test_a_priority_changes_the_target_and_keeps_what_was_used() -> None:
    urgent = BEGUN, moment(30, priority="urgent")
    assert found(*urgent, now=40) == ("", "running", 40, 60, None, (50,), 45)
    assert pieces(told(*urgent, now=40))[1] == (30, 40, 10, "open", NOW, True, True, 60)
    assert found(*urgent, now=60 + TICK)[:4] == ("breached", "breached_running", 60 + TICK, 60)
    too_late = BEGUN, moment(70, priority="urgent")
    assert found(*too_late, now=71)[:4] == ("breached", "breached_running", 71, 70), "more than the target was used"
    exactly = BEGUN, moment(60, priority="urgent")
    assert found(*exactly, now=60)[:4] == ("", "running", 60, 60)
    assert found(*exactly, now=60 + TICK)[:4] == ("breached", "breached_running", 60 + TICK, 60)
    back = BEGUN, moment(70, priority="urgent"), moment(80)
    assert found(*back, now=90)[:4] == ("breached", "breached_running", 90, 70), "a breach stays"
    never = moment(0, priority="low")
    assert told(never, now=10) is None, "this priority has no target"


def test_a_promise_that_lapses_is_cancelled_at_that_instant() -> None:
    a_only = bundle(1, policy(match={"team": "a"}, resolution="2h", warnings=[50]))
    held = moment(0, team="a")
    lapsed = held, moment(30, team="b")
    assert found(*lapsed, now=100, by=a_only) == ("cancelled", "cancelled", 30, 120, 30, (), None)
    assert pieces(told(*lapsed, now=100, by=a_only)) == [(0, 30, 30, "open", "at 30", True, True, 120)]
    resumed = held, moment(10, "pending", team="a"), moment(20, team="a"), moment(30, team="b")
    assert found(*resumed, now=100, by=a_only) == ("cancelled", "cancelled", 20, 130, 30, (), None)
    twice = held, moment(30, team="b"), moment(50, team="c")
    assert found(*twice, now=100, by=a_only) == ("cancelled", "cancelled", 30, 120, 30, (), None)
    paused = moment(0, "pending", team="a"), moment(30, team="b")
    assert found(*paused, now=100, by=a_only) == ("cancelled", "cancelled", 0, None, 30, (), None)
    back = held, moment(30, team="b"), moment(50, team="a")
    assert found(*back, now=100, by=a_only) == ("", "running", 80, 140, None, (50,), 140 + TICK)
    assert pieces(told(*back, now=100, by=a_only))[1] == (30, 50, 0, "open", "at 50", False, False, 0)
    breached = held, moment(130, team="b")
    assert found(*breached, now=200, by=a_only) == ("breached", "breached", 130, 120, 130, (), None)
    later = moment(0, team="b"), moment(20, team="a")
    assert found(*later, now=30, by=a_only) == ("", "running", 10, 140, None, (), 80)
    assert told(moment(0, team="b"), now=30, by=a_only) is None


def test_only_what_the_ticket_was_while_the_cycle_ran_is_looked_at() -> None:
    course = moment(0, "pending"), moment(10), moment(20, "on_hold"), moment(30), moment(40, "pending")
    assert pieces(told(*course, start=15, stop=35, now=90)) == [
        (15, 20, 5, "open", "at 20", True, True, 120),
        (20, 30, 10, "on_hold", "at 30", True, True, 120),
        (30, 35, 5, "open", "stop", True, True, 120),
    ]
    assert pieces(told(*course, start=10, stop=20, now=90)) == [(10, 20, 10, "open", "stop", True, True, 120)]
    assert pieces(told(*course, start=5, stop=10, now=90)) == [(5, 10, 0, "pending", "stop", False, True, 120)]
    assert pieces(told(*course, start=20, stop=20, now=90)) == [(20, 20, 0, "on_hold", "stop", True, True, 120)]
    assert pieces(told(*course, start=40, now=50)) == [(40, 50, 0, "pending", NOW, False, True, 120)]
    assert pieces(told(*course, start=30, now=20)) == [
        (30, 40, 10, "open", "at 40", True, True, 120),
        (40, 40, 0, "pending", NOW, False, True, 120),
    ], "what is known is told, whatever time it is said to be"
    no_time = moment(0), moment(10, "pending"), moment(10), moment(10, priority="urgent")
    assert pieces(told(*no_time, now=20)) == [
        (0, 10, 10, "open", "at 10", True, True, 120),
        (10, 20, 10, "open", NOW, True, True, 60),
    ]


def test_a_waiting_call_is_matched_on_its_own_queue_and_channel() -> None:
    gold = bundle(1, policy(match={"channel": "voice", "queue": "gold"}, call_answer="1m"))
    history = history_of([moment(0, queue="gold")])

    def waits(channel: str, queue: str | None) -> Judged | None:
        call = Fact(START, "rings", "call.queued", "t", "named", channel, "inbound", "c", queue=queue)
        return judge(Cycle("call_answer", START, "rings", call=call), history, gold, us(0.5))

    judged = waits("voice", "gold")
    assert judged is not None
    told_of = judged.pieces[0][3].attributes
    assert (told_of.channel, told_of.queue, judged.due_at) == ("voice", "gold", us(1))
    assert waits("voice", None) is not None, "who names no queue waits in the ticket's"
    assert waits("voice", "other") is None
    assert waits("email", "gold") is None


def test_a_calendar_and_a_boundary_decide_when_it_is_due() -> None:
    # 09:00 to 17:00 in Berlin, begun at nine.
    for boundary, due in (("next_open", 24 * 60), ("close", 8 * 60)):
        terms = bundle(1, policy("office", resolution="8h", warnings=[50], boundary=boundary))
        assert found(BEGUN, now=60, by=terms) == ("", "running", 60, due, None, (), 240)
        assert found(BEGUN, now=500, by=terms)[:3] == ("" if boundary == "next_open" else "breached",) + (
            ("running", 480) if boundary == "next_open" else ("breached_running", 480)
        )
    terms = bundle(1, policy("office", resolution="9h", warnings=["90m"]))
    assert found(BEGUN, now=60, by=terms) == ("", "running", 60, 25 * 60, None, (), 25 * 60 - 90)


def test_warnings_stand_in_the_order_in_which_they_were_reached() -> None:
    terms = bundle(1, policy(resolution="2h", warnings=[25, 90, "100m"]))
    assert found(BEGUN, now=15, by=terms) == ("", "running", 15, 120, None, (), 20)
    assert found(BEGUN, now=20, by=terms) == ("", "running", 20, 120, None, (-6000,), 30)
    assert found(BEGUN, now=40, by=terms) == ("", "running", 40, 120, None, (-6000, 25), 108)
    assert found(BEGUN, now=119, by=terms) == ("", "running", 119, 120, None, (-6000, 25, 90), 120 + TICK)
    at_once = bundle(1, policy(resolution="2h", warnings=[75, "30m"]))
    assert found(BEGUN, now=90, by=at_once).passed == (75, -1800), "the lead is the last word"
    none = bundle(1, policy(resolution="2h", warnings=[]))
    assert found(BEGUN, now=119, by=none) == ("", "running", 119, 120, None, (), 120 + TICK)
    resumed = BEGUN, moment(40, "pending"), moment(90)
    used = found(*resumed, now=95, by=terms)
    assert (used.elapsed, used.due) == (45, 170)
    assert used.passed == (-6000, 25)


def test_a_warning_whose_share_was_used_before_the_clock_stood_is_reached_when_it_goes_on() -> None:
    terms = bundle(1, policy("office", resolution="8h", warnings=[50]))
    at_night = BEGUN, moment(240, "pending"), moment(600)
    assert found(*at_night, now=610, by=terms) == ("", "running", 240, 24 * 60 + 240, None, (50,), 24 * 60 + 240 + TICK)
    almost = BEGUN, moment(60 - TICK, "pending"), moment(90)
    assert found(*almost, now=90)[5:] == ((), 90 + TICK)


def test_a_warning_may_come_though_the_due_never_does() -> None:
    # 24 hours a week until 2199 are more than 200,000 and fewer than 400,000.
    mondays = {**AROUND_THE_CLOCK, "calendars": {"always": {"tz": "Etc/UTC", "hours": {"mon": [["00:00", "24:00"]]}}}}
    document = {**mondays, "policies": policy(resolution="400000h", warnings=[50, "1h"])["policies"]}
    judged = found(BEGUN, now=10, by=bundle(1, document))
    assert (judged.due, judged.passed) == (None, ())
    assert judged.again is not None


def test_a_target_that_no_opening_uses_up_is_never_due() -> None:
    seldom = {
        **AROUND_THE_CLOCK,
        "calendars": {"always": {"tz": "Etc/UTC", "hours": {"mon": [["00:00", "00:01"]]}}},
    }
    document = {**seldom, "policies": policy(resolution="9000h", warnings=[50, "1h"])["policies"]}
    assert found(BEGUN, now=10, by=bundle(1, document)) == ("", "running", 0, None, None, (), None)


def test_evidence_is_the_pieces_with_who_held_it_and_what_was_promised_where_that_differs() -> None:
    here = Moment(START, "at 0", "open", Attributes("t", "email", "normal", "", "a", "o", "q"), "p")
    then = moment(30, "pending", priority="urgent", team="b")
    judged = told(here, then, now=40)
    assert judged is not None
    calendar = TERMS.calendars["always"].digest
    assert evidence(judged) == [
        Interval(
            us(0), us(30), 30 * MINUTE, "start", "at 30", "open", team="a", organisation="o", person="p",
            running=True, queue="q", policy="one", target=2 * HOUR, calendar="always", calendar_digest=calendar,
            boundary="next_open",
        ),
        Interval(us(30), us(40), 0, "at 30", NOW, "pending", team="b", running=False),
    ]  # fmt: skip
    same = told(here, moment(30, "pending"), now=40)
    assert same is not None
    assert [each.policy for each in evidence(same)] == [None, None], "the verdict names it"
    a_only = bundle(1, policy(match={"team": "a"}, resolution="2h"))
    back = told(moment(0, team="a"), moment(30, team="b"), moment(50, team="a"), now=60, by=a_only)
    assert back is not None
    assert [(each.policy, each.target, each.running) for each in evidence(back)] == [
        (None, None, True),
        ("", None, False),
        (None, None, True),
    ]
