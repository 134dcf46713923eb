"""Whatever the order in which the same facts arrive, the tickets are the same.

Joining is a decision that is kept, so the mails that open the tickets come first. What is refused since another command
has yet to come is put back afterwards, as a dead letter is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import CommandRefused
from schemas.records import Actor, CustomerContext, InteractionReceived, TicketCommand
from tests.domain.desk import CUSTOMER, Desk, desk
from tests.domain.stories import DAY, START, command, event

FIVE_DAYS = 5 * 24 * 60
LATER = START + 20 * DAY
OLD = event("old", "email.received", 0, conversation="email:old")
NEW = event("new", "email.received", FIVE_DAYS, conversation="email:new")
TICKETS = (OLD.id, NEW.id)
WORDS: dict[str, list[dict[str, object]]] = {
    "ticket.assigned": [{"team": "claims"}, {"organisation": "own"}, {"person": "agent-9"}, {"queue": "returns"}],
    "ticket.escalated": [{"level": 2}, {"team": "lead"}],
    "ticket.accepted": [{}],
    "ticket.prioritised": [{"priority": "urgent"}, {"priority": "low"}],
    "ticket.status_set": [{"status": "pending"}, {"status": "on_hold"}, {"status": "resolved"}, {"status": "open"}],
    "ticket.reopened": [{}],
    "ticket.tagged": [{"tags": ["a"]}, {"tags": []}],
    "ticket.fields_set": [
        {"fields": {"x": "1"}},
        {"fields": {"x": "", "y": "2"}},
        {"fields": {"z": "3"}, "about": "o=9"},
    ],
    "ticket.linked": [{"link": "parent", "target": CUSTOMER}, {"link": "caused_by", "target": CUSTOMER}],
    "note.added": [{"comment": "called"}],
    "ticket.merged": [{"target": TICKETS[0]}, {"target": TICKETS[1]}],
    "ticket.unmerged": [{}],
}
MINUTES = st.integers(FIVE_DAYS + 1, FIVE_DAYS + 60)


@st.composite
def commands(draw: st.DrawFn) -> InteractionReceived:
    """A command on one of the two tickets."""
    kind = draw(st.sampled_from(sorted(WORDS)))
    words = draw(st.sampled_from(WORDS[kind]))
    at, ticket = draw(MINUTES), draw(st.sampled_from(TICKETS))
    return command(f"{kind} {words} {at} {ticket}", kind, at, ticket, **words)


@st.composite
def contacts(draw: st.DrawFn) -> InteractionReceived:
    """A mail in one of the two conversations, some of them about something, or what is told of the customer."""
    at, conversation = draw(MINUTES), draw(st.sampled_from(("email:old", "email:new")))
    kind = draw(st.sampled_from(("email.received", "email.sent", "customer.context_updated")))
    if kind == "customer.context_updated":
        tier = draw(st.sampled_from(("gold", "silver", "")))
        return event(f"crm {at} {tier}", kind, at, conversation="crm", facts=CustomerContext(tier=tier))
    actor = None if kind == "email.received" else Actor("agent", team=draw(st.sampled_from("xy")), organisation="own")
    made = event(f"{kind} {at} {conversation}", kind, at, conversation=conversation, actor=actor)
    return msgspec.structs.replace(made, attributes=draw(st.sampled_from(({}, {"o": "1"}, {"o": "2"}))))


def arrive(facts: Sequence[InteractionReceived]) -> Desk:
    """All of them received at one instant after all happened; what is refused comes again until nothing changes."""
    work = desk(subject_matter=("o",))
    work.feed(OLD, NEW)
    waiting = [msgspec.structs.replace(fact, received_at=LATER) for fact in facts]
    while waiting:
        refused = []
        for fact in waiting:
            try:
                work.feed(fact)
            except CommandRefused:
                refused.append(fact)
        if len(refused) == len(waiting):
            break
        waiting = refused
    return work


def seen(work: Desk, ticket: str) -> dict[str, object]:
    now = work.ticket(ticket)
    found = {
        name: getattr(now, name) for name in now.__struct_fields__ if name not in ("version", "cause", "changed_at")
    }
    found["clocks"] = [(c.metric, c.cycle, c.state, c.due_at, c.ended_at) for c in now.clocks]
    return found


def taken(work: Desk) -> set[str]:
    return {fact.id for ticket in work.work.customers[CUSTOMER].tickets for fact in ticket.facts}


Orders = tuple[list[InteractionReceived], list[InteractionReceived]]
MERGE = command("m", "ticket.merged", FIVE_DAYS + 10, OLD.id, target=NEW.id)
BACK = command("u", "ticket.unmerged", FIVE_DAYS + 20, OLD.id)
GIVE = command("g", "ticket.assigned", FIVE_DAYS + 15, OLD.id, team="claims")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(commands(), contacts()), max_size=9, unique_by=lambda e: e.id).flatmap(
        lambda facts: st.tuples(st.just(facts), st.permutations(facts))
    )
)
@example(([MERGE, BACK], [BACK, MERGE]))
def test_the_order_of_arrival_changes_no_ticket(orders: Orders) -> None:
    """Of orders in which the same commands were accepted: a refusal is a decision, and is kept."""
    one, other = (arrive(order) for order in orders)
    if taken(one) != taken(other):
        assert any(isinstance(fact.facts, TicketCommand) for fact in orders[0])
        return
    assert [seen(one, ticket) for ticket in TICKETS] == [seen(other, ticket) for ticket in TICKETS]


def test_a_command_that_a_late_merge_makes_impossible_was_given_and_changes_nothing_now() -> None:
    early, late = arrive([GIVE, MERGE]), arrive([MERGE, GIVE])
    assert taken(early) == taken(late) | {GIVE.id}, "refused when it came after"
    assert seen(early, NEW.id) == seen(late, NEW.id)
    assert early.ticket(OLD.id).team == late.ticket(OLD.id).team == "first-line"
