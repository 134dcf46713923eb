"""What is said of cycles that are no more, and by which version of a policy a finished one is judged again."""

from __future__ import annotations

from domain.announced import judged_again, said_of_none, withdrawn
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


# --- cycles that are no more


def test_an_outcome_that_is_withdrawn_was_wrong_and_a_warning_is_closed() -> None:
    breached = clock(outcome="breached", version=7, warned=[75, 90], ended=True)
    assert withdrawn(breached) == ("retracted", None, 4)
    assert breached == clock(episode=5, warned=[])
    warned = clock(warned=[75], episode=0)
    assert withdrawn(warned) == ("cancelled", None, 0)
    assert warned == clock(episode=1, warned=[])


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
