"""Merges: a union of facts that lasts as long as the merge, of one customer's tickets; contradictions have reasons."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Reason
from domain.tickets import history
from schemas.records import ContactPoint, InteractionReceived, TicketChanged
from tests.domain.desk import CUSTOMER, Desk, because, desk, entries, verdicts
from tests.domain.stories import AROUND_THE_CLOCK, DAY, MINUTE, START, bundle, command, event, late

OLD = event("old", "email.received", 0, conversation="email:old")
NEW = event("new", "email.received", 5 * 24 * 60, conversation="email:new")
THIRD = event("third", "email.received", 10 * 24 * 60, conversation="email:third")
NOW = 11 * 24 * 60


def merge(source: str, target: str, minutes: float = NOW, name: str = "") -> InteractionReceived:
    return command(name or f"merge {source} {target} {minutes}", "ticket.merged", minutes, source, target=target)


def unmerge(source: str, minutes: float = NOW + 5) -> InteractionReceived:
    return command(f"unmerge {source} {minutes}", "ticket.unmerged", minutes, source)


def opened() -> Desk:
    """A customer with three open tickets."""
    work = desk()
    work.feed(OLD, NEW, THIRD)
    assert len(work.work.customers[CUSTOMER].tickets) == 3
    return work


def test_the_source_is_closed_and_the_target_goes_on_for_it() -> None:
    work = opened()
    said = work.feed(merge(OLD.id, NEW.id))
    assert [each.id for each in said if isinstance(each, TicketChanged)] == [OLD.id, NEW.id]
    source, target = work.ticket(OLD.id), work.ticket(NEW.id)
    assert (source.status, source.merged_into, source.resolved_at) == ("closed", NEW.id, None)
    assert source.closed_at == START + NOW * MINUTE
    assert (target.status, target.merged, target.interactions) == ("open", [OLD.id], 2)
    assert target.conversations == ["email:old", "email:new"]
    assert target.opened_at == NEW.occurred_at, "it is not older for it"


def test_facts_of_the_source_count_for_the_target_but_not_its_commands() -> None:
    work = opened()
    work.feed(
        command("park", "ticket.status_set", NOW - 2, OLD.id, status="on_hold"),
        command("give", "ticket.assigned", NOW - 1, OLD.id, team="claims"),
        merge(OLD.id, NEW.id),
    )
    state = work.work.customers[CUSTOMER]
    source, target = state.tickets[0], state.tickets[1]
    course = history(target, state, work.work.bundles[1], work.work.reached)
    assert [fact.id for fact in course.facts] == [OLD.id, NEW.id]
    assert course.first_ask is not None
    assert course.first_ask.id == OLD.id, "the older question is still to be answered"
    assert (work.ticket(NEW.id).status, work.ticket(NEW.id).team) == ("open", "first-line")
    assert history(source, state, work.work.bundles[1], work.work.reached).merged_at == START + NOW * MINUTE
    assert course.merged_at is None


def test_later_events_of_its_conversation_join_the_target_and_wake_it() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id), command("done", "ticket.status_set", NOW + 1, NEW.id, status="resolved"))
    said = work.feed(event("again", "email.received", NOW + 2, conversation="email:old"))
    assert (entries(said)[0].ticket, because(said)) == (NEW.id, "merged")
    assert (work.ticket(NEW.id).status, work.ticket(NEW.id).reopened) == ("open", 1)
    named = event("named", "email.received", NOW + 3, conversation="x", points=[point(OLD.id)])
    said = work.feed(named)
    assert (entries(said)[0].ticket, because(said)) == (NEW.id, "merged")
    late = event("late", "email.sent", NOW - 1, received=NOW + 4, conversation="email:old")
    said = work.feed(late)
    assert (entries(said)[0].ticket, because(said)) == (OLD.id, "same_conversation"), "it was before the merge"
    assert work.ticket(NEW.id).interactions == 5


def point(ticket: str) -> ContactPoint:
    return ContactPoint("hub", f"ticket:{ticket}")


def test_what_was_asked_in_the_source_before_the_merge_does_not_change_the_targets_status() -> None:
    work = opened()
    work.feed(command("wait", "ticket.status_set", NOW - 5, NEW.id, status="pending"))
    work.feed(event("asked", "email.received", NOW - 3, conversation="email:old"), merge(OLD.id, NEW.id))
    assert work.ticket(NEW.id).status == "pending", "somebody waits for the customer there, and that is so still"
    work.feed(event("again", "email.received", NOW + 1, conversation="email:old"))
    assert work.ticket(NEW.id).status == "open"


def test_a_reply_in_the_sources_conversation_answers_for_the_target() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id), event("reply", "email.sent", NOW + 1, conversation="email:old"))
    clock = next(c for c in work.ticket(NEW.id).clocks if c.metric == "first_response")
    assert clock.ended_at == START + (NOW + 1) * MINUTE


def test_a_command_for_a_merged_ticket_names_the_one_that_goes_on() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id))
    error = work.refused(command("x", "ticket.assigned", NOW + 1, OLD.id, team="second-line"))
    assert (error.reason, NEW.id in error.detail) == (Reason.TICKET_MERGED, True)
    work.feed(late(command("late", "ticket.tagged", NOW - 1, OLD.id, tags=["before"]), NOW + 2))
    assert work.ticket(OLD.id).tags == ["before"]


@pytest.mark.parametrize(
    ("made", "reason", "said"),
    [
        (merge(OLD.id, OLD.id), Reason.SAME_TICKET, "itself"),
        (merge(OLD.id, CUSTOMER), Reason.OTHER_CUSTOMER, "customer.merge_requested"),
        (merge(NEW.id, THIRD.id, NOW + 1), Reason.ALREADY_MERGED, OLD.id),
        (merge(OLD.id, NEW.id, NOW + 1), Reason.CYCLE, OLD.id),
        (merge(THIRD.id, NEW.id, NOW + 1), Reason.TARGET_MERGED, "merge into that one"),
        (unmerge(OLD.id), Reason.NOT_MERGED, "nothing to take back"),
    ],
)
def test_what_is_no_merge_is_refused_with_what_to_do(made: InteractionReceived, reason: Reason, said: str) -> None:
    work = opened()
    work.feed(merge(NEW.id, OLD.id))
    error = work.refused(made)
    assert (error.reason, said in error.detail) == (reason, True)


def test_closed_tickets_are_not_merged() -> None:
    work = opened()
    work.feed(command("end", "ticket.status_set", NOW, NEW.id, status="closed"))
    assert work.refused(merge(OLD.id, NEW.id, NOW + 1)).reason == Reason.TARGET_CLOSED
    assert work.refused(merge(NEW.id, OLD.id, NOW + 1)).reason == Reason.TICKET_CLOSED


def test_a_chain_of_merges_ends_in_its_last_ticket_and_comes_apart_link_by_link() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id), merge(NEW.id, THIRD.id, NOW + 1))
    assert (work.ticket(OLD.id).merged_into, work.ticket(NEW.id).merged_into) == (NEW.id, THIRD.id)
    assert sorted(work.ticket(THIRD.id).merged) == sorted([OLD.id, NEW.id])
    said = work.feed(event("again", "email.received", NOW + 2, conversation="email:old"))
    assert entries(said)[0].ticket == THIRD.id
    assert work.ticket(THIRD.id).interactions == 4
    work.feed(unmerge(NEW.id))
    assert (work.ticket(NEW.id).merged, work.ticket(THIRD.id).merged) == ([OLD.id], [])
    assert (work.ticket(NEW.id).interactions, work.ticket(THIRD.id).interactions) == (3, 1)


def test_a_merged_ticket_stays_as_long_as_the_one_that_goes_on_for_it() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id))
    work.work.advance(START + NOW * MINUTE + 50 * DAY)
    assert [ticket.id for ticket in work.work.customers[CUSTOMER].tickets] == [OLD.id, NEW.id, THIRD.id]
    end = NOW + 51 * 24 * 60
    work.feed(*(command(f"end {t}", "ticket.status_set", end, t, status="closed") for t in (NEW.id, THIRD.id)))
    work.work.advance(START + end * MINUTE + 36 * DAY)
    assert not work.work.customers


def test_the_merge_is_in_the_state_and_survives_a_restart() -> None:
    work = opened()
    work.feed(merge(OLD.id, NEW.id))
    work.restart()
    said = work.feed(event("again", "email.received", NOW + 2, conversation="email:old"))
    assert (entries(said)[0].ticket, because(said)) == (NEW.id, "merged")
    assert work.ticket(NEW.id).interactions == 3


WHILE = [
    event("while 1", "email.received", NOW + 1, conversation="email:old"),
    event("while 2", "email.sent", NOW + 2, conversation="email:old"),
    event("while 3", "email.sent", NOW + 3, conversation="email:new"),
    command("while 4", "ticket.status_set", NOW + 4, NEW.id, status="pending"),
    event("while 5", "email.received", NOW - 3, received=NOW + 4, conversation="email:old"),
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(range(len(WHILE))), unique=True), st.integers(0, 5))
def test_merged_and_taken_back_is_never_merged(chosen: list[int], apart: int) -> None:
    """Whatever came in between. What was announced stays announced, and is not compared."""
    between = [WHILE[index] for index in chosen]
    merged, never = opened(), opened()
    merged.feed(merge(OLD.id, NEW.id), *between[:apart], unmerge(OLD.id), *between[apart:])
    never.feed(*between)
    for ticket in (OLD.id, NEW.id, THIRD.id):
        assert stands(merged, ticket) == stands(never, ticket)


def stands(work: Desk, ticket: str) -> dict[str, object]:
    """A ticket as it is, without what tells of how it came to that."""
    now = work.ticket(ticket)
    course = {name: getattr(now, name) for name in now.__struct_fields__}
    course["clocks"] = [(c.metric, c.cycle, c.state, c.due_at, c.ended_at, c.breached_at) for c in now.clocks]
    for name in ("version", "changed_at", "cause", "handled_by"):
        del course[name]
    return course


def test_whatever_the_order_of_arrival_the_merged_tickets_are_the_same() -> None:
    """Facts of both, and the merge among them, all of which happened before any of them arrived."""
    facts = [merge(OLD.id, NEW.id), *WHILE[:4]]
    arrived = [msgspec.structs.replace(each, received_at=START + (NOW + 60) * MINUTE) for each in facts]
    ends = []
    for order in permutations(arrived):
        work = opened()
        work.feed(*order)
        ends.append([stands(work, ticket) for ticket in (OLD.id, NEW.id)])
    assert all(end == ends[0] for end in ends)


# What becomes of clocks


def promised(minutes: dict[str, str]) -> Desk:
    """Two open tickets under a policy of these promises."""
    work = desk(policies=bundle(document=AROUND_THE_CLOCK | {"policies": [policy(minutes)]}).policies)
    work.feed(OLD, event("answered", "email.sent", 10, conversation="email:old"), NEW)
    return work


def policy(minutes: dict[str, str]) -> dict[str, object]:
    return {"name": "all", "calendar": "always", "targets": minutes, "warnings": []}


def clocks(work: Desk, ticket: str) -> dict[str, list[tuple[str, float]]]:
    """By metric, the state and the begin in minutes of each cycle."""
    found: dict[str, list[tuple[str, float]]] = {}
    for clock in work.ticket(ticket).clocks:
        found.setdefault(clock.metric, []).append((clock.state, (clock.started_at - START) / MINUTE))
    return found


ALL = dict.fromkeys(("first_response", "next_response", "resolution", "total_resolution"), "900h")
ASKED = event("asked", "email.received", NOW - 100, conversation="email:old")


def test_a_merge_cancels_what_runs_on_the_source_and_the_target_waits_since_the_older_question() -> None:
    work = promised(ALL)
    work.feed(ASKED)
    said = work.feed(merge(OLD.id, NEW.id))
    assert {outcome for _, outcome in verdicts(said)} == {"cancelled"}
    source, target = clocks(work, OLD.id), clocks(work, NEW.id)
    assert source["resolution"] == [("cancelled", 0)]
    assert source["first_response"] == [("met", 0)], "what was over stays"
    assert source["next_response"] == [("met", 0), ("cancelled", NOW - 100)]
    assert target["resolution"] == [("running", 5 * 24 * 60)], "its own time, not that of the other"
    assert ("running", 5 * 24 * 60) in target["next_response"]
    assert work.feed(NOW + 10) == [], "and nothing of the source is due any more"


def test_a_merge_that_is_taken_back_lets_the_sources_clocks_run_as_if_nothing_had_been() -> None:
    work, never = promised(ALL), promised(ALL)
    for each in (work, never):
        each.feed(ASKED)
    work.feed(merge(OLD.id, NEW.id))
    said = work.feed(unmerge(OLD.id))
    assert {outcome for _, outcome in verdicts(said)} == {"retracted"}
    for ticket in (OLD.id, NEW.id):
        assert clocks(work, ticket) == clocks(never, ticket)
    reply = event("reply", "email.sent", NOW + 9, conversation="email:old")
    assert ("next_response", "met") in verdicts(work.feed(reply))


def test_a_breach_of_the_source_before_the_merge_stays() -> None:
    work = promised(dict.fromkeys(ALL, "1h"))
    work.feed(NOW)
    said = work.feed(merge(OLD.id, NEW.id))
    assert ("resolution", "ended") in verdicts(said)
    assert clocks(work, OLD.id)["resolution"] == [("breached", 0)]
