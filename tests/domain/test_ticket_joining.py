"""Which ticket an interaction joins, each with its reason; calls that become tickets; and events that come too early or
too late."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from domain.loose import MOST
from domain.policies import Match, Route
from domain.tickets import history
from schemas.casework_state import Fact
from schemas.records import Actor, CallFacts, CustomerContext, InteractionReceived, MailFacts, TicketChanged
from tests.domain.desk import CUSTOMER, Desk, because, desk, entries
from tests.domain.stories import HOUR, START, command, event, late

MAIL = event("mail", "email.received", 0)
YEAR = 365 * 24 * 60


def with_attributes(made: InteractionReceived, **attributes: str) -> InteractionReceived:
    return msgspec.structs.replace(made, attributes=attributes)


def call(name: str, kind: str, minutes: float, conversation: str = "asterisk:1", **more: object) -> InteractionReceived:
    made = event(name, kind, minutes, channel="voice", conversation=conversation, facts=CallFacts(queue="support"))
    return msgspec.structs.replace(made, **more)


def mail(
    name: str, minutes: float, conversation: str, message: str, *references: str, to: str | None = None
) -> InteractionReceived:
    facts = MailFacts(message_id=message, in_reply_to=to, references=list(references))
    return event(name, "email.received", minutes, conversation=conversation, facts=facts)


def facts_of(work: Desk, ticket: str) -> list[Fact]:
    return next(each.facts for each in work.work.customers[CUSTOMER].tickets if each.id == ticket)


# Subject matter


def test_the_same_customer_about_the_same_joins_and_about_something_else_opens_a_new_one() -> None:
    work = desk(subject_matter=("order", "reason"))
    work.feed(with_attributes(event("a", "email.received", 0, conversation="a"), order="1"))
    said = work.feed(with_attributes(event("b", "email.received", 10, conversation="b"), order="2", reason="late"))
    assert because(said) == "asks_about_something_else"
    said = work.feed(with_attributes(event("c", "message.received", 20, conversation="c"), order="1"))
    assert (because(said), entries(said)[0].ticket) == ("same_subject_matter", event("a", "email.received", 0).id)
    assert (entries(said)[0].about, work.ticket(event("a", "email.received", 0).id).about) == ("order=1", "order=1")
    said = work.feed(event("d", "message.received", 21, conversation="d"))
    assert because(said) == "same_customer_recently", "what nobody knows the matter of joins the nearest"
    assert entries(said)[0].ticket == event("a", "email.received", 0).id
    said = work.feed(with_attributes(event("e", "message.received", 22, conversation="a"), order="9"))
    assert because(said) == "same_conversation", "a conversation stays together, whatever it comes to"


def test_a_ticket_of_unknown_matter_takes_the_first_that_is_told_and_the_policies_see_it() -> None:
    work = desk(subject_matter=("order",))
    work.feed(MAIL)
    said = work.feed(with_attributes(event("b", "message.received", 10, conversation="b"), order="7"))
    assert because(said) == "same_customer_recently"
    assert work.ticket(MAIL.id).about == "order=7"
    assert because(work.feed(with_attributes(event("c", "message.received", 11, conversation="c"), order="8"))) == (
        "asks_about_something_else"
    )
    work.feed(command("right", "ticket.fields_set", 12, MAIL.id, fields={"checked": "yes"}, about="order=8"))
    assert work.ticket(MAIL.id).about == "order=8", "a person may set it right"
    state = work.work.customers[CUSTOMER]
    course = history(state.tickets[0], state, work.work.bundles[1], 0)
    assert [moment.attributes.about for moment in course.moments] == [None, "order=7", "order=8"]


def test_without_configuration_nothing_is_about_anything() -> None:
    work = desk()
    work.feed(with_attributes(MAIL, order="1"))
    assert because(work.feed(with_attributes(event("b", "message.received", 1, conversation="b"), order="2"))) == (
        "same_customer_recently"
    )


def test_the_subject_matter_may_choose_the_route() -> None:
    returns = Route(Match((("about", frozenset({"reason=return"})),)), "returns", "returns-team", None)
    work = desk(subject_matter=("reason",), routes=[returns])
    opening = with_attributes(MAIL, reason="return")
    work.feed(opening)
    assert (work.ticket(MAIL.id).queue, work.ticket(MAIL.id).team) == ("returns", "returns-team")


# References


def test_a_mail_with_a_cut_list_of_references_joins_by_the_mails_that_are_known() -> None:
    """RFC 5322 3.6.4: walked from the last to the first, then In-Reply-To."""
    work = desk(join_window=HOUR)
    later = 10 * 24 * 60
    work.feed(mail("one", 0, "root-1", "root-1"), mail("two", 3 * 24 * 60, "root-2", "root-2"))
    work.feed(mail("in one", 1, "root-1", "m3", "root-1"))
    said = work.feed(mail("cut", later, "gone", "m4", "gone", "root-2", "m3", "unknown"))
    one, two = event("one", "email.received", 0).id, event("two", "email.received", 0).id
    assert (because(said), entries(said)[0].ticket) == ("references", one)
    said = work.feed(mail("only", later, "root-2x", "m5", to="root-2"))
    assert (because(said), entries(said)[0].ticket) == ("references", two)
    said = work.feed(mail("none", later + 180, "other", "m6", to="never-seen"))
    assert because(said) == "customer_asks"


def test_a_mail_that_refers_to_a_closed_ticket_opens_one_that_follows_it() -> None:
    work = desk()
    work.feed(mail("one", 0, "root", "root"), command("end", "ticket.status_set", 5, MAIL_ONE, status="closed"))
    said = work.feed(mail("cut", 90, "other", "m2", to="root"))
    assert because(said) == "customer_asks"
    assert work.ticket(event("cut", "email.received", 0).id).follows == MAIL_ONE


MAIL_ONE = event("one", "email.received", 0).id


# Calls


def test_a_call_that_waited_and_was_given_up_brings_its_waiting_into_the_ticket() -> None:
    work = desk()
    queued, gone = call("queued", "call.queued", 0), call("gone", "call.abandoned", 3)
    said = work.feed(queued)
    assert (because(said), entries(said)[0].call) == ("no_open_ticket", CallFacts(queue="support"))
    work.feed(gone)
    ticket = work.ticket(gone.id)
    assert [(f.id, f.queue, f.because) for f in facts_of(work, gone.id)] == [
        (queued.id, "support", "same_conversation"),
        (gone.id, "support", "customer_asks"),
    ]
    assert (ticket.opened_at, ticket.interactions, ticket.conversations) == (gone.occurred_at, 2, ["asterisk:1"])
    assert work.work.customers[CUSTOMER].loose == []
    state = work.work.customers[CUSTOMER]
    course = history(state.tickets[0], state, work.work.bundles[1], 0)
    assert (course.moments[0].at, course.opened_by) == (queued.occurred_at, gone.id)


def test_the_waiting_may_arrive_after_the_giving_up() -> None:
    ends = set()
    for order in permutations([call("queued", "call.queued", 0), call("gone", "call.abandoned", 3)]):
        work = desk()
        work.feed(*order)
        (ticket,) = work.work.customers[CUSTOMER].tickets
        ends.add((ticket.id, tuple(fact.id for fact in ticket.facts), work.ticket(ticket.id).opened_at))
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("opens", "opened"),
    [("abandoned", ["call.abandoned"]), ("queued", ["call.queued"]), ("never", [])],
)
def test_the_bundle_says_when_a_call_opens_a_ticket(opens: str, opened: list[str]) -> None:
    work = desk(call_opens=opens)
    said = work.feed(call("queued", "call.queued", 0), call("gone", "call.abandoned", 3))
    tickets = {each.id for each in said if isinstance(each, TicketChanged)}
    assert [line.type for line in entries(said) if line.event in tickets] == opened
    if opens == "queued":
        assert [line.joined_because for line in entries(said)] == ["customer_waits", "same_conversation"]
    voicemail = work.feed(call("voice", "call.voicemail_left", 9 * 24 * 60, "asterisk:9"))
    assert because(voicemail) == "customer_asks"


def test_an_answered_call_becomes_a_task_by_hand_with_all_that_is_known_of_it() -> None:
    work = desk()
    agent = Actor("agent", id="agent-4", team="support", organisation="vendor-a")
    talked = [
        call("queued", "call.queued", 0),
        call("answered", "call.answered", 1, actor=agent),
        call("ended", "call.ended", 5),
    ]
    work.feed(*talked)
    assert work.work.customers[CUSTOMER].tickets == []
    opening = command(
        "task", "ticket.opened", 6, "", origin="asterisk:1", ticket_type="task", team="back-office", priority="high"
    )
    said = work.feed(opening)
    ticket = work.ticket(opening.id)
    assert (because(said), ticket.ticket_type, ticket.team, ticket.priority) == (
        "opened_by_command",
        "task",
        "back-office",
        "high",
    )
    assert [fact.id for fact in facts_of(work, opening.id)] == [*(each.id for each in talked), opening.id]
    assert (ticket.opened_at, ticket.conversations) == (opening.occurred_at, ["asterisk:1"])
    said = work.feed(call("wrap", "call.wrapped_up", 8))
    assert (because(said), entries(said)[0].ticket) == ("same_conversation", opening.id)


def test_a_call_becomes_an_escalation_when_it_is_opened_with_a_level() -> None:
    work = desk()
    work.feed(call("answered", "call.answered", 1))
    opening = command("up", "ticket.opened", 6, "", origin="asterisk:1", level=2, team="supervisors")
    work.feed(opening)
    assert (work.ticket(opening.id).level, work.ticket(opening.id).team) == (2, "supervisors")


def test_a_follow_up_of_a_call_that_has_a_ticket_leaves_the_call_there_and_says_what_it_follows() -> None:
    work = desk()
    gone = call("gone", "call.abandoned", 1)
    opening = command("task", "ticket.opened", 6, "", origin="asterisk:1", ticket_type="task")
    work.feed(gone, opening)
    assert (work.ticket(opening.id).follows, work.ticket(opening.id).interactions) == (gone.id, 0)
    assert work.ticket(gone.id).interactions == 1


def test_a_task_opened_in_the_name_of_a_ticket_stands_below_it() -> None:
    work = desk()
    opening = command("task", "ticket.opened", 6, MAIL.id, ticket_type="task")
    work.feed(MAIL, opening)
    assert [(link.kind, link.ticket) for link in work.ticket(opening.id).links] == [("parent", MAIL.id)]


def test_what_is_loose_is_bounded_and_forgotten_after_the_join_window() -> None:
    work = desk()
    work.feed(*(call(f"c{n}", "call.ended", n, f"asterisk:{n}") for n in range(MOST + 10)))
    loose = work.work.customers[CUSTOMER].loose
    assert [fact.conversation for fact in loose] == [f"asterisk:{n}" for n in range(10, MOST + 10)]
    work.restart()
    work.feed(call("late", "call.ended", 4 * 24 * 60, "asterisk:late"))
    assert [fact.conversation for fact in work.work.customers[CUSTOMER].loose] == ["asterisk:late"]


# Too early, too late, too far


def test_an_event_from_next_year_happened_when_it_was_received() -> None:
    work = desk()
    said = work.feed(event("future", "email.received", YEAR, received=0))
    assert entries(said)[0].occurred_at == START
    ticket = work.ticket(entries(said)[0].event)
    assert ticket.opened_at == START
    assert {clock.started_at for clock in ticket.clocks} == {START}


def test_an_event_from_shortly_before_the_ticket_joins_it_as_if_it_had_come_first() -> None:
    work = desk()
    said = work.feed(MAIL, event("before", "email.received", -60, received=1))
    assert entries(said)[1].ticket == MAIL.id
    assert work.ticket(MAIL.id).opened_at == START - HOUR


def test_an_event_from_long_before_its_conversations_ticket_is_told_there_and_moves_no_clock() -> None:
    work = desk()
    work.feed(MAIL)
    said = work.feed(event("ancient", "email.received", -YEAR, received=5))
    assert (because(said), entries(said)[0].ticket) == ("long_before_the_ticket", MAIL.id)
    assert work.ticket(MAIL.id).opened_at == START
    assert [fact.id for fact in facts_of(work, MAIL.id)] == [MAIL.id]


def test_an_event_from_long_ago_of_another_conversation_does_not_join_the_ticket_of_today() -> None:
    work = desk()
    said = work.feed(MAIL, event("ancient", "email.received", -YEAR, received=5, conversation="email:ancient"))
    assert entries(said)[1].joined_because == "customer_asks"
    assert entries(said)[1].ticket == event("ancient", "email.received", 0).id


def test_a_command_from_before_its_ticket_counts_from_the_tickets_beginning() -> None:
    work = desk()
    work.feed(MAIL, late(command("early", "ticket.assigned", -5, MAIL.id, team="second-line"), 1))
    state = work.work.customers[CUSTOMER]
    course = history(state.tickets[0], state, work.work.bundles[1], 0)
    assert [(moment.at, moment.attributes.team) for moment in course.moments] == [(START, "second-line")]
    assert work.ticket(MAIL.id).opened_at == START


def test_events_of_one_instant_without_numbers_stand_in_one_order_however_they_arrive() -> None:
    made = [event(f"same {n}", "email.received", 5) for n in range(4)]
    assert all(each.sequence is None for each in made)
    orders = set()
    for order in permutations(made):
        work = desk()
        work.feed(MAIL, *order)
        orders.add(tuple(fact.id for fact in facts_of(work, MAIL.id)))
    assert len(orders) == 1


def test_what_a_system_of_record_tells_keeps_no_ticket_near() -> None:
    work = desk(join_window=2 * HOUR)
    context = event("crm", "customer.context_updated", 110, conversation="crm", facts=CustomerContext(tier="gold"))
    said = work.feed(MAIL, context, event("chat", "message.received", 200, conversation="chat:1"))
    assert entries(said)[-1].joined_because == "customer_asks"
    said = work.feed(
        command("note", "note.added", 100, MAIL.id, comment="called"),
        event("sms", "message.received", 210, conversation="sms:1", received=220),
    )
    assert entries(said)[-1].ticket != MAIL.id, "the newer one is nearer"
