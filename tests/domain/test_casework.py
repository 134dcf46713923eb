"""One customer's work, judged whole: tickets, clocks, verdicts, and that the order of arrival does not matter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import casework
from domain.casework import Casework
from domain.errors import CommandRefused, Reason
from domain.outputs import Output
from schemas.casework_state import pack, unpack
from schemas.records import Actor, InteractionReceived, SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from tests.domain.stories import AROUND_THE_CLOCK, DAY, MINUTE, START, bot, bundle, command, event

CUSTOMER = "11111111-1111-5111-8111-111111111111"


def hub(document: object = None) -> Casework:
    made = Casework()
    made.configure("t", bundle(1, document))
    return made


def play(work: Casework, *steps: InteractionReceived | float) -> list[Output]:
    """Feed events; a number is the time told, in minutes."""
    outputs: list[Output] = []
    for step in steps:
        if isinstance(step, InteractionReceived):
            outputs += work.received(CUSTOMER, "email:customer@example.com", step)
        else:
            outputs += work.advance(START + round(step * MINUTE))
    return outputs


def verdicts(outputs: Sequence[Output]) -> list[tuple[str, str, int | None]]:
    return [(o.metric, o.outcome, o.threshold) for o in outputs if isinstance(o, SlaVerdictIssued)]


def last_ticket(outputs: Sequence[Output]) -> TicketChanged:
    return [o for o in outputs if isinstance(o, TicketChanged)][-1]


def entries(outputs: Sequence[Output]) -> list[TimelineEntryAdded]:
    return [o for o in outputs if isinstance(o, TimelineEntryAdded)]


MAIL = event("mail", "email.received", 0)


def test_a_mail_opens_a_ticket_that_its_route_gives_to_the_vendor() -> None:
    outputs = play(hub(), MAIL)
    ticket = last_ticket(outputs)
    assert (ticket.id, ticket.status, ticket.team, ticket.organisation) == (MAIL.id, "open", "first-line", "vendor-a")
    assert entries(outputs)[0].joined_because == "customer_asks"
    assert {clock.metric for clock in ticket.clocks} == {"first_response", "resolution"}


def test_warnings_then_the_breach_and_each_of_them_once() -> None:
    work = hub()
    play(work, MAIL)
    assert verdicts(play(work, 44.9)) == []
    assert verdicts(play(work, 45)) == [("first_response", "warned", 75)]
    assert verdicts(play(work, 46, 53)) == []
    assert verdicts(play(work, 54)) == [("first_response", "warned", 90)]
    assert verdicts(play(work, 60)) == [], "the due instant itself is in time"
    breached = play(work, 60.0001)
    assert verdicts(breached) == [("first_response", "breached", None)]
    assert verdicts(play(work, 61, 90)) == []


def test_evidence_sums_to_the_elapsed_time_and_every_stretch_has_an_owner() -> None:
    work = hub()
    play(work, MAIL, command("take", "ticket.assigned", 30, MAIL.id, organisation="own", team="second-line"))
    verdict = next(o for o in play(work, 61) if isinstance(o, SlaVerdictIssued))
    assert sum(interval.counted for interval in verdict.evidence) == verdict.elapsed == 61 * MINUTE
    assert [(i.organisation, i.counted // MINUTE) for i in verdict.evidence] == [("vendor-a", 30), ("own", 31)]
    assert [i.begin for i in verdict.evidence[1:]] == [i.end for i in verdict.evidence[:-1]]


def test_a_breach_is_charged_to_who_owned_the_ticket_at_the_due_even_if_found_later() -> None:
    work = hub()
    outputs = play(work, MAIL, command("take", "ticket.assigned", 75, MAIL.id, organisation="own", team="second-line"))
    breached = next(o for o in outputs if isinstance(o, SlaVerdictIssued))
    assert (breached.outcome, breached.organisation) == ("breached", "vendor-a")


def test_first_look_after_the_due_says_only_the_breach() -> None:
    work = hub()
    play(work, MAIL)
    assert verdicts(play(work, 70)) == [("first_response", "breached", None)]


def test_an_answer_at_the_due_instant_is_in_time() -> None:
    assert verdicts(play(hub(), MAIL, event("reply", "email.sent", 60))) == [("first_response", "met", None)]


def test_an_answer_after_the_due_is_a_breach_even_if_nobody_looked_before() -> None:
    outputs = play(hub(), MAIL, event("reply", "email.sent", 60.5))
    assert verdicts(outputs) == [("first_response", "breached", None), ("first_response", "ended", None)]


def test_a_breached_promise_that_is_done_at_last_says_so_once_with_all_the_time_it_took() -> None:
    work = hub()
    play(work, MAIL, 61)
    done = play(work, event("reply", "email.sent", 90))
    assert verdicts(done) == [("first_response", "ended", None)]
    ended = next(o for o in done if isinstance(o, SlaVerdictIssued))
    assert (ended.elapsed, sum(i.counted for i in ended.evidence)) == (90 * MINUTE, 90 * MINUTE)
    assert verdicts(play(work, event("more", "email.sent", 95), 120)) == []


def test_a_bot_an_absence_note_and_a_note_answer_nothing() -> None:
    work = hub()
    outputs = play(
        work,
        MAIL,
        event("greeting", "message.sent", 1, facts=bot()),
        event("absent", "email.auto_replied", 2),
        event("note", "email.sent", 3, actor=Actor("bot")),
    )
    assert verdicts(outputs) == []
    assert verdicts(play(work, 61)) == [("first_response", "breached", None)]


def test_a_late_mail_that_was_in_time_retracts_the_breach() -> None:
    work = hub()
    breached = [o for o in play(work, MAIL, 61) if isinstance(o, SlaVerdictIssued)]
    late = play(work, event("reply", "email.sent", 50, received=75))
    assert verdicts(late) == [("first_response", "retracted", None), ("first_response", "met", None)]
    retracted = next(o for o in late if isinstance(o, SlaVerdictIssued))
    assert retracted.episode == breached[0].episode
    assert retracted.elapsed == 50 * MINUTE


def test_a_breach_found_more_than_an_hour_late_pages_nobody() -> None:
    outputs = play(hub(), event("old", "email.received", 0, received=3 * 24 * 60), 3 * 24 * 60.0 + 1)
    found = [o for o in outputs if isinstance(o, SlaVerdictIssued) and o.outcome == "breached"]
    assert found
    assert {o.quiet for o in found} == {"found_late"}


def test_resolution_stands_still_while_pending_on_the_customer() -> None:
    work = hub()
    play(work, MAIL, event("reply", "email.sent", 10))
    play(work, command("wait", "ticket.status_set", 20, MAIL.id, status="pending"))
    assert verdicts(play(work, 24 * 60)) == []
    back = event("back", "email.received", 24 * 60 + 1)
    assert last_ticket(play(work, back)).status == "open"
    done = play(work, command("done", "ticket.status_set", 24 * 60 + 61, MAIL.id, status="resolved"))
    clock = next(c for c in last_ticket(done).clocks if c.metric == "resolution")
    assert (clock.state, clock.elapsed) == ("met", 80 * MINUTE)


def test_reopening_takes_the_verdict_back_and_goes_on_with_the_time_used() -> None:
    work = hub()
    play(work, MAIL, event("reply", "email.sent", 10))
    play(work, command("done", "ticket.status_set", 60, MAIL.id, status="resolved"))
    again = play(work, event("again", "email.received", 120))
    assert verdicts(again) == [("resolution", "retracted", None)]
    assert last_ticket(again).reopened == 1
    done = play(work, command("done2", "ticket.status_set", 180, MAIL.id, status="resolved"))
    assert verdicts(done) == [("resolution", "met", None)]
    assert next(c for c in last_ticket(done).clocks if c.metric == "resolution").elapsed == 120 * MINUTE


def test_a_resolved_ticket_closes_by_itself_and_then_a_mail_begins_a_new_one_that_follows_it() -> None:
    work = hub()
    play(work, MAIL, command("done", "ticket.status_set", 60, MAIL.id, status="resolved"))
    closed = play(work, 60 + 7 * 24 * 60.0)
    assert last_ticket(closed).status == "closed"
    again = play(work, event("again", "email.received", 60 + 8 * 24 * 60))
    assert last_ticket(again).follows == MAIL.id
    assert last_ticket(again).id != MAIL.id


def test_a_late_mail_from_before_the_closing_joins_the_closed_ticket_though_another_follows_it() -> None:
    work = hub()
    play(work, MAIL, command("done", "ticket.status_set", 60, MAIL.id, status="closed"))
    followed = last_ticket(play(work, event("again", "email.received", 90)))
    assert followed.follows == MAIL.id
    late = play(work, event("late", "email.sent", 50, received=100))
    assert entries(late)[0].ticket == MAIL.id
    third = play(work, command("end", "ticket.status_set", 110, followed.id, status="closed"))
    assert last_ticket(third).status == "closed"
    assert last_ticket(play(work, event("third", "email.received", 120))).follows == followed.id


def test_a_command_on_a_closed_ticket_is_refused_and_changes_nothing() -> None:
    work = hub()
    play(work, MAIL, command("done", "ticket.status_set", 60, MAIL.id, status="closed"))
    before = work.customers[CUSTOMER].sequence
    with pytest.raises(CommandRefused) as refused:
        play(work, command("late", "ticket.assigned", 61, MAIL.id, team="second-line"))
    assert refused.value.reason == Reason.TICKET_CLOSED
    assert work.customers[CUSTOMER].sequence == before


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (command("x", "ticket.status_set", 1, MAIL.id, status="parked"), Reason.UNKNOWN_STATUS),
        (command("x", "ticket.prioritised", 1, MAIL.id, priority="asap"), Reason.UNKNOWN_PRIORITY),
        (command("x", "ticket.prioritised", 1, MAIL.id), Reason.MISSING_FIELD),
        (command("x", "ticket.assigned", 1, MAIL.id), Reason.MISSING_FIELD),
        (command("x", "ticket.assigned", 1, "", team="second-line"), Reason.MISSING_FIELD),
    ],
)
def test_a_command_without_sense_is_refused_with_its_reason(made: InteractionReceived, reason: Reason) -> None:
    work = hub()
    play(work, MAIL)
    with pytest.raises(CommandRefused) as refused:
        play(work, made)
    assert refused.value.reason == reason


def test_a_chat_two_hours_later_and_an_abandoned_call_join_the_same_ticket() -> None:
    outputs = play(
        hub(),
        MAIL,
        event("chat", "message.received", 120, channel="chat", conversation="whatsapp:1"),
        event("queued", "call.queued", 130, channel="voice", conversation="asterisk:1"),
        event("gone", "call.abandoned", 133, channel="voice", conversation="asterisk:1"),
    )
    assert {entry.ticket for entry in entries(outputs)} == {MAIL.id}
    assert entries(outputs)[1].joined_because == "same_customer_recently"
    assert last_ticket(outputs).interactions == 4


def test_a_second_delivery_changes_nothing() -> None:
    work = hub()
    play(work, MAIL)
    assert play(work, MAIL) == []


def test_a_second_delivery_is_known_after_hundreds_of_other_events_as_long_as_its_ticket_is_held() -> None:
    work = hub()
    play(work, MAIL, *(event(f"more {number}", "email.received", number / 10) for number in range(1, 200)))
    assert play(work, MAIL) == []


def test_urgent_keeps_the_time_used_and_a_lowered_priority_does_not_undo_a_breach() -> None:
    work = hub()
    play(work, MAIL, event("reply", "email.sent", 10))
    raised = play(work, command("up", "ticket.prioritised", 150, MAIL.id, priority="urgent"))
    assert verdicts(raised) == [("resolution", "breached", None)]
    lowered = play(work, command("down", "ticket.prioritised", 160, MAIL.id, priority="normal"))
    assert verdicts(lowered) == []


def test_a_new_policy_reaches_an_open_ticket_with_its_next_event_and_leaves_finished_clocks_alone() -> None:
    work = hub()
    play(work, MAIL, event("reply", "email.sent", 50))
    shorter = AROUND_THE_CLOCK | {
        "policies": [
            {"name": "strict", "calendar": "always", "targets": {"first_response": "30m", "resolution": "2h"}},
        ]
    }
    work.configure("t", bundle(2, shorter))
    assert verdicts(play(work, 150)) == [], "until something happens the ticket keeps its version"
    touched = play(work, event("more", "email.received", 151))
    assert verdicts(touched) == [("resolution", "breached", None)]
    assert [c.policy for c in last_ticket(touched).clocks] == ["standard", "strict"]


def test_a_target_that_the_calendar_never_uses_up_is_never_due_and_stops_nothing() -> None:
    rarely = {"tz": "Etc/UTC", "hours": {"mon": [["09:00", "09:01"]]}}
    document = {
        "calendars": {"rarely": rarely},
        "policies": [{"name": "p", "calendar": "rarely", "targets": {"resolution": "900h"}}],
    }
    outputs = play(hub(document), MAIL)
    assert [clock.due_at for clock in last_ticket(outputs).clocks] == [None]


def test_when_no_policy_promises_it_any_more_the_clock_is_cancelled() -> None:
    document = AROUND_THE_CLOCK | {
        "policies": [
            {
                "name": "vendor only",
                "match": {"organisation": "vendor-a"},
                "calendar": "always",
                "targets": {"resolution": "8h"},
            }
        ]
    }
    work = hub(document)
    play(work, MAIL)
    outputs = play(work, command("take", "ticket.assigned", 30, MAIL.id, organisation="own"))
    assert verdicts(outputs) == [("resolution", "cancelled", None)]


def test_a_customer_with_nothing_open_leaves_the_state_after_the_retention() -> None:
    work = hub()
    play(work, MAIL, command("done", "ticket.status_set", 60, MAIL.id, status="closed"))
    work.changed()
    for day in range(1, 40):
        work.advance(START + day * DAY)
    assert not work.customers
    assert work.changed() == [(CUSTOMER, None)]
    assert work.due() is None


STORY = [
    event("s-mail", "email.received", 0),
    event("s-chat", "message.received", 20, channel="chat", conversation="whatsapp:1"),
    event("s-bot", "message.sent", 21, facts=bot()),
    event("s-reply", "email.sent", 55),
    command("s-take", "ticket.assigned", 30, event("s-mail", "email.received", 0).id, team="second-line"),
    command("s-wait", "ticket.status_set", 70, event("s-mail", "email.received", 0).id, status="pending"),
    event("s-back", "email.received", 200),
    command("s-up", "ticket.prioritised", 210, event("s-mail", "email.received", 0).id, priority="urgent"),
    command("s-done", "ticket.status_set", 400, event("s-mail", "email.received", 0).id, status="resolved"),
]


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(1, len(STORY))), st.lists(st.integers(1, len(STORY) - 1), max_size=4))
def test_whatever_the_order_of_arrival_and_the_repeats_the_end_is_the_same(
    order: list[int], repeats: list[int]
) -> None:
    """The opening mail comes first, since joining is a decision that is kept; the rest in any order, some twice."""
    end = STORY[0].received_at + DAY
    arrived = [
        InteractionReceived(**{k: getattr(e, k) for k in e.__struct_fields__} | {"received_at": end}) for e in STORY
    ]
    straight, shuffled = hub(), hub()
    one = play(straight, *arrived)
    other = play(shuffled, arrived[0], *(arrived[i] for i in order), *(arrived[i] for i in repeats))
    assert final_state(last_ticket(one)) == final_state(last_ticket(other))
    assert [f.id for f in straight.customers[CUSTOMER].tickets[0].facts] == [
        f.id for f in shuffled.customers[CUSTOMER].tickets[0].facts
    ]
    assert outcomes(straight) == outcomes(shuffled)
    assert len(entries(one)) == len(entries(other)) == len(STORY)


def final_state(ticket: TicketChanged) -> dict[str, object]:
    return {k: getattr(ticket, k) for k in ticket.__struct_fields__ if k not in ("version", "changed_at", "cause")}


def outcomes(work: Casework) -> list[tuple[str, int, str]]:
    (state,) = work.customers.values()
    return sorted((c.metric, c.cycle, c.outcome) for ticket in state.tickets for c in ticket.clocks)


def test_a_restored_customer_is_planned_as_the_state_says_and_an_older_state_is_judged() -> None:
    work = hub()
    play(work, MAIL, 10)
    ((_, packed),) = work.changed()
    assert packed is not None
    older = unpack(packed)
    older.tickets[0].instant = older.planned = -1
    for state in (packed, pack(older)):
        restored = hub()
        restored.reached = work.reached
        restored.put(CUSTOMER, state)
        assert restored.due() == work.due() == START + 45 * MINUTE
        assert verdicts(play(restored, 45)) == [("first_response", "warned", 75)]
        assert restored.changed() != []


def test_an_old_event_of_a_customer_who_left_is_due_after_the_time_told_so_far() -> None:
    """A partition is told of the time once, and not again of an instant at or before that."""
    work = hub()
    work.advance(START + 40 * DAY)
    play(work, event("note", "call.ended", 0))
    assert work.due() == START + 40 * DAY + 1
    assert play(work, 40 * 24 * 60 + 1) == []
    assert not work.customers


def test_what_a_customer_no_longer_waits_for_does_not_pile_up_for_weeks() -> None:
    work = hub()
    play(work, MAIL)
    for turn in range(1, casework.STALE // 2 + 20):
        # resolved, it waits for its close; with the next mail it waits for its due again
        play(work, command(f"done-{turn}", "ticket.status_set", turn, MAIL.id, status="resolved"))
        play(work, event(f"mail-{turn}", "email.received", turn + 0.5))
    assert len(work._heap) <= 2 * work.waiting() + casework.STALE
    due = work.due()
    assert due is not None
    assert any(isinstance(output, SlaVerdictIssued) for output in work.advance(due))
    assert work.due() != due
