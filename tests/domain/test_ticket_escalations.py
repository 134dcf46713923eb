"""Escalation by rule, a customer's tier, and who handles a ticket at the same time."""

from __future__ import annotations

from domain.policies import Escalation, Match, Target
from domain.tickets import history
from schemas.records import Actor, CustomerContext, InteractionReceived, TicketChanged
from tests.domain.desk import CUSTOMER, Desk, because, desk, verdicts
from tests.domain.stories import HOUR, MINUTE, START, bundle, command, event, late

MAIL = event("mail", "email.received", 0)
LEAD = Escalation("lead", Match(), "first_response", "warned", 75, team="lead", organisation="own", level=1)
BOSS = Escalation("boss", Match(), "first_response", "breached", person="supervisor-1", queue="urgent", level=2)
VENDOR = Match((("organisation", frozenset({"vendor-a"})),))


def agent(name: str, kind: str, minutes: float, organisation: str, team: str | None = None) -> InteractionReceived:
    return event(name, kind, minutes, actor=Actor("agent", id="a", team=team, organisation=organisation))


def escalated(work: Desk) -> list[tuple[str, int]]:
    """The rules that fired, by conversation, with the minute each counts from."""
    facts = [fact for ticket in work.work.customers[CUSTOMER].tickets for fact in ticket.facts]
    return [(f.conversation, (f.at - START) // MINUTE) for f in facts if f.type == "ticket.escalated"]


# Escalation by rule


def test_a_rule_gives_a_warned_ticket_to_the_lead_and_a_breached_one_to_the_supervisor() -> None:
    work = desk(escalations=[LEAD, BOSS])
    work.feed(MAIL)
    said = work.feed(45)
    assert verdicts(said) == [("first_response", "warned")]
    ticket = work.ticket(MAIL.id)
    assert (ticket.team, ticket.organisation, ticket.level, ticket.cause) == ("lead", "own", 1, "rule:lead")
    work.feed(61)
    ticket = work.ticket(MAIL.id)
    assert (ticket.team, ticket.person, ticket.queue, ticket.level) == ("lead", "supervisor-1", "urgent", 2)
    assert escalated(work) == [("rule:lead", 45), ("rule:boss", 61)]
    versions = [each.version for each in work.said if isinstance(each, TicketChanged)]
    assert versions == sorted(set(versions))


def test_time_before_and_after_belongs_to_who_had_the_ticket() -> None:
    work = desk(escalations=[LEAD])
    work.feed(MAIL, 45)
    state = work.work.customers[CUSTOMER]
    course = history(state.tickets[0], state, work.work.bundles[1], work.work.reached)
    owners = [(m.at - START, m.attributes.organisation) for m in course.moments]
    assert owners == [(0, "vendor-a"), (45 * MINUTE, "own")]


def test_a_rule_fires_once_per_cycle_however_often_the_ticket_is_looked_at() -> None:
    work = desk(escalations=[LEAD])
    work.feed(MAIL, 45, 46, command("back", "ticket.assigned", 47, MAIL.id, organisation="vendor-a"), 50, 54, 60, 70)
    assert escalated(work) == [("rule:lead", 45)]
    assert work.ticket(MAIL.id).organisation == "vendor-a", "what somebody decided later stands"


def test_a_warning_that_comes_again_after_a_retraction_is_the_same_cycle() -> None:
    work = desk(escalations=[BOSS])
    work.feed(MAIL, 61)
    assert escalated(work) == [("rule:boss", 61)]
    late = event("reply", "email.sent", 50, received=75)
    assert ("first_response", "retracted") in verdicts(work.feed(late))
    assert escalated(work) == [("rule:boss", 61)], "that it was escalated stays true"


def test_a_cycle_that_is_breached_again_after_a_retraction_is_not_escalated_again() -> None:
    work = desk(escalations=[Escalation("late", Match(), "resolution", "breached", level=1)])
    work.feed(MAIL, event("reply", "email.sent", 1), 481)
    taken_back = late(command("done", "ticket.status_set", 400, MAIL.id, status="resolved"), 500)
    assert ("resolution", "retracted") in verdicts(work.feed(taken_back))
    again = work.feed(command("up", "ticket.reopened", 510, MAIL.id), 600)
    assert ("resolution", "breached") in verdicts(again)
    assert escalated(work) == [("rule:late", 481)]


def test_an_earlier_warnings_rule_fires_with_the_later_warning_if_that_is_all_that_is_said() -> None:
    work = desk(escalations=[LEAD])
    work.feed(MAIL, 55)
    assert escalated(work) == [("rule:lead", 55)]


def test_a_rule_is_for_the_tickets_it_matches_and_never_goes_back_to_a_lower_level() -> None:
    others = Escalation("others", Match((("organisation", frozenset({"own"})),)), "first_response", "warned", team="x")
    work = desk(escalations=[others, Escalation("low", VENDOR, "first_response", "warned", team="low", level=1)])
    work.feed(MAIL, command("up", "ticket.escalated", 10, MAIL.id, level=3), 45)
    assert escalated(work) == [("ticket:" + MAIL.id, 10)]
    assert (work.ticket(MAIL.id).team, work.ticket(MAIL.id).level) == ("first-line", 3)


def test_what_was_found_late_pages_nobody_and_moves_nothing() -> None:
    work = desk(escalations=[LEAD, BOSS])
    work.feed(event("old", "email.received", 0, received=3 * 24 * 60), 3 * 24 * 60 + 1)
    assert ("first_response", "breached") in verdicts(work.said)
    assert escalated(work) == []


def test_a_ticket_that_is_done_is_not_escalated() -> None:
    work = desk(escalations=[BOSS])
    work.feed(MAIL, event("reply", "email.sent", 90), 91)
    assert escalated(work) == [("rule:boss", 90)], "breached, and still open"
    done = desk(escalations=[BOSS])
    done.feed(MAIL, command("done", "ticket.status_set", 90, MAIL.id, status="resolved"))
    assert escalated(done) == []


def test_a_rule_that_leads_to_another_breach_goes_on_from_there_and_ends() -> None:
    """The lead's own policy is stricter: what the escalation itself breaches is escalated in turn."""
    base = bundle()
    strict = base.policies[0].__class__(
        "strict",
        Match((("team", frozenset({"lead"})),)),
        "always",
        {"first_response": Target("first_response", dict.fromkeys(("normal",), HOUR // 2), frozenset())},
    )
    work = desk(escalations=[LEAD, BOSS], policies=[strict, *base.policies])
    work.feed(MAIL, 45)
    assert escalated(work) == [("rule:lead", 45), ("rule:boss", 45)]
    assert work.ticket(MAIL.id).level == 2


def test_a_replay_makes_the_same_escalations_and_a_restart_forgets_none() -> None:
    story: list[InteractionReceived | float] = [MAIL, 45, 61, event("reply", "email.sent", 70)]
    one, other = desk(escalations=[LEAD, BOSS]), desk(escalations=[LEAD, BOSS])
    one.feed(*story)
    for step in story:
        other.feed(step)
        other.restart()
    assert one.said == other.said
    assert escalated(one) == escalated(other)


# A customer's tier


def told(name: str, minutes: float, tier: str | None, received: float | None = None) -> InteractionReceived:
    facts = CustomerContext(tier=tier)
    return event(name, "customer.context_updated", minutes, received=received, conversation="crm", facts=facts)


def test_a_tier_is_a_fact_of_every_open_ticket_and_the_policy_is_chosen_anew() -> None:
    base = bundle()
    gold = base.policies[0].__class__(
        "gold",
        Match((("tier", frozenset({"gold"})),)),
        "always",
        {"first_response": Target("first_response", dict.fromkeys(("normal",), HOUR // 2), frozenset())},
    )
    work = desk(policies=[gold, *base.policies])
    other = event("other", "email.received", 5 * 24 * 60, conversation="email:other")
    work.feed(MAIL, event("reply", "email.sent", 1), other)
    said = work.feed(told("crm", 5 * 24 * 60 + 1, "gold"))
    assert because(said) == "tells_of_the_customer"
    assert [work.ticket(each.id).tier for each in (MAIL, other)] == ["gold", "gold"]
    clock = next(c for c in work.ticket(other.id).clocks if c.metric == "first_response")
    assert (clock.policy, clock.target) == ("gold", HOUR // 2)
    assert work.ticket(MAIL.id).interactions == 2
    work.feed(told("crm 2", 5 * 24 * 60 + 2, ""))
    assert work.ticket(other.id).tier is None


def test_a_ticket_opens_with_the_tier_that_was_told_last_by_its_own_time() -> None:
    work = desk()
    work.feed(told("new", 10, "gold"), told("older", 5, "silver", received=11), told("nothing", 12, None))
    work.feed(event("later", "email.received", 20))
    assert work.ticket(event("later", "email.received", 20).id).tier == "gold"


def test_a_tier_told_before_the_ticket_began_is_its_tier_from_the_beginning() -> None:
    work = desk()
    work.feed(MAIL, told("late", -5, "gold", received=3))
    state = work.work.customers[CUSTOMER]
    course = history(state.tickets[0], state, work.work.bundles[1], 0)
    assert [(m.at, m.attributes.tier) for m in course.moments] == [(START, "gold")]
    assert work.ticket(MAIL.id).opened_at == START


# Concurrent handling


def test_a_vendor_and_the_own_team_at_the_same_time_are_seen() -> None:
    work = desk()
    work.feed(
        MAIL,
        agent("v1", "email.sent", 10, "vendor-a", "first-line"),
        agent("o1", "email.sent", 30, "own", "care"),
        agent("v2", "email.sent", 120, "vendor-a", "first-line"),
    )
    ticket = work.ticket(MAIL.id)
    assert [(h.organisation, h.team, h.actions) for h in ticket.handled_by] == [
        ("vendor-a", "first-line", 2),
        ("own", "care", 1),
    ]
    assert [(h.first_at - START, h.last_at - START) for h in ticket.handled_by] == [
        (10 * MINUTE, 120 * MINUTE),
        (30 * MINUTE, 30 * MINUTE),
    ]
    assert ticket.concurrent_at == START + 30 * MINUTE, "ninety minutes later is not at the same time"


def test_a_hand_over_is_no_concurrent_handling_and_neither_is_arranging() -> None:
    work = desk()
    work.feed(
        MAIL,
        agent("v1", "email.sent", 10, "vendor-a", "first-line"),
        command("over", "ticket.assigned", 20, MAIL.id, organisation="own", team="second-line"),
        agent("o1", "email.sent", 30, "own", "second-line"),
        command("tag", "ticket.tagged", 31, MAIL.id, tags=["x"]),
    )
    assert work.ticket(MAIL.id).concurrent_at is None
    work.feed(agent("v2", "email.sent", 40, "vendor-a", "first-line"))
    assert work.ticket(MAIL.id).concurrent_at == START + 40 * MINUTE, "it had been given away"


def test_bots_and_customers_handle_nothing() -> None:
    work = desk()
    work.feed(MAIL, event("bot", "email.sent", 1, actor=Actor("bot", organisation="own", team="bots")))
    work.feed(event("nobody", "email.sent", 2, actor=Actor("agent")))
    assert (work.ticket(MAIL.id).handled_by, work.ticket(MAIL.id).concurrent_at) == ([], None)


def test_the_window_is_the_bundles() -> None:
    work = desk(concurrent_window=5 * MINUTE)
    work.feed(MAIL, agent("v", "email.sent", 10, "vendor-a"), agent("o", "email.sent", 16, "own"))
    assert work.ticket(MAIL.id).concurrent_at is None
    work.feed(agent("v2", "email.sent", 21, "vendor-a"))
    assert work.ticket(MAIL.id).concurrent_at == START + 21 * MINUTE
