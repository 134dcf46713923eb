"""What is said of cycles that are no more, and by which version of a policy a finished one is judged again."""

from __future__ import annotations

from domain.announced import _known_again, differences, judged_again, looks, said_of_none, withdrawn
from domain.cycles import Cycle, cycles_of
from domain.sla import Judged
from domain.tickets import History, history
from schemas.casework_state import AnnouncedClock
from tests.domain.clocks import CUSTOMER, MAIL, Hub, mail, policy, reply, status
from tests.domain.stories import HOUR, MINUTE, START, bundle, command

RESOLUTION = "resolution"


def clock(**said: object) -> AnnouncedClock:
    fields = {"metric": "next_response", "cycle": 3, "episode": 4, "begun_at": START}
    return AnnouncedClock(**{**fields, **said})  # type: ignore[arg-type]  # as the test names them


# --- which cycle is which again


def waits(*bounds: tuple[int, int | None]) -> list[Cycle]:
    return [Cycle("next_response", begin, f"at {begin}", stop) for begin, stop in bounds]


def again(cycles: list[Cycle], *begun: int) -> tuple[dict[int, int], list[int]]:
    """Of clocks that were begun then, by their place from 1: which cycle each is, and which is none."""
    known, left = _known_again(cycles, [clock(cycle=n, begun_at=at) for n, at in enumerate(begun, 1)])
    return {index: each.cycle for index, each in known.items()}, [each.cycle for each in left]


def test_a_cycle_is_known_again_by_the_instant_it_began() -> None:
    assert again(waits((10, 20), (30, None)), 10, 30) == ({0: 1, 1: 2}, [])
    assert again(waits((10, 20), (30, 40), (50, None)), 10, 30) == ({0: 1, 1: 2}, []), "a new one has no number yet"
    assert again(waits((10, 20), (25, 28), (30, None)), 10, 30) == ({0: 1, 2: 2}, []), "one came late in between"
    assert again(waits((10, 10), (25, 28), (30, None)), 10, 30) == ({0: 1, 2: 2}, []), "one that lasted no time"
    assert again(waits((10, None))) == ({}, [])


def test_a_cycle_that_began_earlier_after_all_is_the_one_its_begin_lies_in() -> None:
    assert again(waits((5, 20), (30, None)), 10, 30) == ({0: 1, 1: 2}, [])
    assert again(waits((5, None)), 10) == ({0: 1}, [])
    assert again(waits((5, 8), (30, None)), 10, 30) == ({1: 2}, [1]), "it had ended before"
    assert again(waits((5, 10), (30, None)), 10, 30) == ({1: 2}, [1])
    assert again(waits((20, None)), 10) == ({}, [1]), "none had begun then"
    assert again(waits((5, None)), 5, 10) == ({0: 1}, [2]), "another was known before"
    assert again([], 10) == ({}, [1])


def test_what_was_said_before_begins_were_kept_was_said_of_the_first() -> None:
    assert again(waits((10, 20), (30, None)), 0) == ({0: 1}, [])
    assert again([], 0) == ({}, [1])


def test_only_what_may_have_changed_and_the_newest_are_looked_at() -> None:
    cycles = waits(*((n * 10, n * 10 + 5) for n in range(1, 10)))
    spoken = [clock(cycle=n, begun_at=n * 10, outcome="met") for n in range(1, 10)]

    def seen(since: int) -> list[int]:
        return [number for _, _, number in looks(spoken, {"next_response": cycles}, since)[0]]

    assert seen(1000) == [5, 6, 7, 8, 9]
    assert seen(25) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert seen(26) == [3, 4, 5, 6, 7, 8, 9]
    assert seen(0) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_what_was_said_of_no_cycle_is_withdrawn_if_anything_was_said() -> None:
    said_of = [clock(cycle=1, begun_at=10, outcome="met"), clock(cycle=2, begun_at=30, outcome="breached")]
    assert looks(said_of, {"next_response": waits((10, 20))}, 0)[1] == [said_of[1]]
    assert looks(said_of, {}, 0) == ([], said_of), "a metric without cycles"
    other = clock(metric="callback", cycle=1, begun_at=10, outcome="met")
    wrong = clock(metric="periodic_update", cycle=1, begun_at=50, warned=[50])
    cycles = {"next_response": waits((60, None), (70, None)), "periodic_update": waits((60, None))}
    assert looks([*said_of, other, wrong], cycles, 0)[1] == [*said_of, wrong, other]
    silent = [clock(cycle=1, begun_at=10), clock(cycle=2, begun_at=30, warned=[50])]
    assert looks(silent, {}, 0)[1] == [silent[1]]
    assert looks([], {"next_response": waits((10, None))}, 0)[1] == []


# --- cycles that are no more


def test_an_outcome_that_is_withdrawn_was_wrong_and_a_warning_is_closed() -> None:
    breached = clock(outcome="breached", version=7, warned=[75, 90], ended=True)
    assert withdrawn(breached) == ("retracted", None, 4)
    assert breached == clock(episode=5, warned=[])
    warned = clock(warned=[75], episode=0)
    assert withdrawn(warned) == ("cancelled", None, 0)
    assert warned == clock(episode=1, warned=[])


# --- what changed since it was said


def now(outcome: str = "", passed: tuple[int, ...] = (), ended: bool = False) -> Judged:
    terms = bundle(9, policy(next_response="1h"))
    state = outcome or "running"
    return Judged(
        "next_response", 3, outcome, state, terms.policies[0], terms, HOUR, 0, START, "", [],
        ended_at=START if ended else None, passed=passed,
    )  # fmt: skip


def test_an_outcome_is_said_once_and_taken_back_with_all_that_was_said_of_it() -> None:
    fresh = clock(begun_at=0)
    assert differences(now("met", ended=True), fresh) == [("met", None, 4)]
    assert fresh == clock(outcome="met", version=9, warned=[])
    assert differences(now("met", ended=True), fresh) == []
    breached = clock(outcome="breached", version=7, warned=[75], ended=True)
    assert differences(now(), breached) == [("retracted", None, 4)]
    assert breached == clock(episode=5, warned=[])
    breached = clock(outcome="breached", version=7, warned=[75], ended=True)
    assert differences(now("met", ended=True), breached) == [("retracted", None, 4), ("met", None, 5)]
    assert breached == clock(outcome="met", version=9, episode=5, warned=[])


def test_a_breach_ends_once_and_may_go_on_again() -> None:
    waiting = clock(outcome="breached", version=9, warned=[])
    assert differences(now("breached"), waiting) == []
    assert differences(now("breached", ended=True), waiting) == [("ended", None, 4)]
    assert waiting == clock(outcome="breached", version=9, warned=[], ended=True)
    assert differences(now("breached"), waiting) == []
    assert waiting == clock(outcome="breached", version=9, warned=[])


def test_the_last_of_the_warnings_is_said_and_said_again_in_a_new_episode_only() -> None:
    running = clock(warned=[])
    assert differences(now(passed=(50,)), running) == [("warned", 50, 4)]
    assert differences(now(passed=(50,)), running) == []
    assert differences(now(passed=(50, -900, 90)), running) == [("warned", 90, 4)]
    assert running == clock(warned=[-900, 50, 90])
    assert differences(now(passed=(50,)), running) == [], "the due moved: two are no longer true"
    assert running == clock(warned=[50], episode=5)
    assert differences(now(passed=(50, -900)), running) == [("warned", -900, 5)]
    paused = clock(warned=[])
    judged_paused = now(passed=(50,))
    judged_paused.state = "paused"
    assert differences(judged_paused, paused) == []


def course(hub: Hub) -> History:
    state = hub.work.customers[CUSTOMER]
    return history(state.tickets[0], state, hub.work.bundles[1], hub.work.reached)


def test_the_last_word_on_a_cycle_names_the_terms_that_hold_now() -> None:
    targets = {"low": "9h", "normal": "3h", "urgent": "1h"}
    hub = Hub(policy(next_response=targets, resolution="8h"))
    hub.play(MAIL, command("urgent", "ticket.prioritised", 10, MAIL.id, priority="urgent"))
    terms = bundle(1, policy(next_response=targets, resolution="8h"))
    here = course(hub)
    last = here.moments[-1]
    expected = Judged(
        metric="next_response",
        cycle=3,
        outcome="",
        state="cancelled",
        policy=terms.policies[0],
        bundle=terms,
        target=HOUR,
        elapsed=0,
        started_at=START,
        started_by=last.by,
        pieces=[(START, START, 0, last, last.by, False, terms.policies[0], HOUR)],
        due_at=None,
        ended_at=START,
    )
    assert said_of_none(clock(outcome="breached"), here, terms) == expected


def test_the_last_word_on_a_cycle_whose_priority_has_no_target_any_more_names_the_longest() -> None:
    terms = bundle(1, policy(next_response={"low": "9h", "urgent": "1h"}, resolution="8h"))
    hub = Hub(policy(next_response={"low": "9h", "urgent": "1h"}, resolution="8h"))
    hub.play(MAIL)
    last = said_of_none(clock(), course(hub), terms)
    assert last is not None
    assert last.target == 9 * HOUR


def test_there_is_no_last_word_where_no_policy_promises_it_any_more() -> None:
    hub = Hub(policy(resolution="8h"))
    hub.play(MAIL)
    assert said_of_none(clock(), course(hub), bundle(1, policy(resolution="8h"))) is None
    elsewhere = {**policy(resolution="8h")}
    other = {"name": "other", "calendar": "always", "match": {"channel": "sms"}, "targets": {"next_response": "2h"}}
    elsewhere["policies"] = [*elsewhere["policies"], other]  # type: ignore[misc]  # a list of policies
    last = said_of_none(clock(), course(hub), bundle(1, elsewhere))
    assert last is not None
    assert (last.policy.name, last.target) == ("other", 2 * HOUR), "any policy's terms are better than none"


# --- finished cycles and versions


def judged(hub: Hub, said: AnnouncedClock, now: float, *known: int) -> Judged:
    """The resolution judged again: promised in 1 h by version 1, in 8 h by version 2, the ticket's now."""
    versions = {n: bundle(n, policy(resolution="1h" if n == 1 else "8h")) for n in known}
    newest = bundle(2, policy(resolution="8h"))
    (cycle,) = cycles_of(course(hub), newest, frozenset({RESOLUTION}))[RESOLUTION]
    found = judged_again(cycle, said, course(hub), newest, versions, START + round(now * MINUTE))
    assert found is not None
    return found


def said(outcome: str, version: int = 1) -> AnnouncedClock:
    return AnnouncedClock(RESOLUTION, 1, outcome, version=version, begun_at=START)


def test_what_is_finished_keeps_the_version_it_was_judged_by() -> None:
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL, status("done", 90, "resolved"))
    found = judged(hub, said("breached"), 100, 1, 2)
    assert (found.outcome, found.bundle.version, found.target) == ("breached", 1, HOUR)


def test_a_breach_that_still_waits_keeps_its_version_too() -> None:
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL)
    found = judged(hub, said("breached"), 70, 1, 2)
    assert (found.outcome, found.bundle.version, found.elapsed) == ("breached", 1, 70 * MINUTE)


def test_what_did_not_end_after_all_is_judged_by_the_newest() -> None:
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL, mail("more", 30))
    found = judged(hub, said("met"), 50, 1, 2)
    assert (found.outcome, found.bundle.version, found.target, found.elapsed) == ("", 2, 8 * HOUR, 50 * MINUTE)
    assert found.due_at == START + 8 * HOUR


def test_a_version_that_is_not_known_any_more_is_judged_by_the_newest() -> None:
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL, reply("answer", 10), status("done", 90, "resolved"))
    found = judged(hub, said("breached"), 100, 2)
    assert (found.outcome, found.bundle.version) == ("met", 2)


def test_a_promise_that_the_older_version_did_not_make_is_judged_by_the_newest() -> None:
    hub = Hub(policy(resolution="1h"))
    hub.play(MAIL)
    newest, older = bundle(2, policy(resolution="8h")), bundle(1, policy(next_response="1h"))
    cycle = Cycle(RESOLUTION, START, MAIL.id)
    found = judged_again(cycle, said("breached"), course(hub), newest, {1: older}, START + 10 * MINUTE)
    assert found is not None
    assert (found.bundle.version, found.outcome, found.elapsed) == (2, "", 10 * MINUTE)
