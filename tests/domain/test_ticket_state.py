"""A state that a former version wrote is taken over, and means what it meant."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from schemas.casework_state import Fact, TicketState, pack, unpack
from schemas.records import InteractionReceived, TicketCommand
from tests.domain.desk import CUSTOMER, Desk, desk
from tests.domain.stories import command, event

MAIL = event("mail", "email.received", 0)
STORY = [
    MAIL,
    command("take", "ticket.assigned", 5, MAIL.id, team="second-line", organisation="own"),
    event("reply", "email.sent", 10),
    command("wait", "ticket.status_set", 20, MAIL.id, status="pending"),
]
AFTER: list[InteractionReceived | float] = [
    event("again", "email.received", 30),
    command("done", "ticket.status_set", 40, MAIL.id, status="resolved"),
    90.0,
]
FACTS, TICKETS, CUSTOMERS = 16, 15, 6  # the fields of each before tickets had levels, links and merges


def as_before(packed: bytes) -> bytes:
    """The same state in the fields that a former version had."""
    customer = msgspec.msgpack.decode(packed)[:CUSTOMERS]
    for index, ticket in enumerate(customer[4]):
        customer[4][index] = [[fact[:FACTS] for fact in part] if at == 1 else part for at, part in enumerate(ticket)]
        customer[4][index] = customer[4][index][:TICKETS]
    return msgspec.msgpack.encode(customer)


def test_a_state_without_levels_links_and_merges_goes_on_as_if_it_had_been_written_now() -> None:
    one, other = desk(), desk()
    for work in (one, other):
        work.feed(*STORY)
        work.restart()
    packed = pack(one.work.customers[CUSTOMER])
    former = as_before(packed)
    assert len(former) < len(packed)
    other.work.put(CUSTOMER, former)
    assert seen(one.feed(*AFTER)) == seen(other.feed(*AFTER))
    assert one.ticket(MAIL.id).status == "resolved"
    assert pack(unpack(former)) != former, "it is written in full from then on"


def test_states_that_are_restored_together_wait_for_the_instants_that_each_would_alone() -> None:
    """Some of them written by a former version, one that waits for nothing but its retention."""
    first = desk()
    first.feed(*STORY, *AFTER[:2])
    resting = desk()
    resting.feed(event("talk", "message.sent", 0))
    packed, rested = pack(first.work.customers[CUSTOMER]), pack(resting.work.customers[CUSTOMER])
    unplanned = unpack(packed)
    unplanned.planned = -1
    states = {f"{n:08d}-0000-5000-8000-000000000000": [packed, pack(unplanned), rested][n % 3] for n in range(60)}
    together, alone = desk().work, desk().work
    together.reached = alone.reached = first.work.reached
    together.restore(dict(states))
    for customer, state in states.items():
        alone.put(customer, state)
    assert list(together.customers) == list(alone.customers)
    assert together.waiting() == alone.waiting() == 60
    for _ in range(200):
        due = together.due()
        assert due == alone.due()
        if due is None:
            break
        assert sorted(map(str, together.advance(due))) == sorted(map(str, alone.advance(due)))
        assert sorted(together.changed()) == sorted(alone.changed())
    assert together.due() is None, "all was put away at last"
    assert len(together.customers) == 0


def seen(said: Sequence[object]) -> list[object]:
    """What was said, as plain values."""
    return [msgspec.to_builtins(each) for each in said]


@pytest.mark.parametrize("kind", ["email.received", "ticket.merged", "survey.answered"])
def test_a_fact_that_was_once_taken_for_a_command_changes_nothing_and_breaks_nothing(kind: str) -> None:
    work: Desk = desk()
    work.feed(MAIL)
    ticket: TicketState = work.work.customers[CUSTOMER].tickets[0]
    words = TicketCommand(ticket=MAIL.id, status="closed", target=MAIL.id)
    odd = Fact(MAIL.occurred_at + 1, "odd", kind, MAIL.id, "named", "internal", "internal", "x", command=words)
    ticket.facts.append(odd)
    work.feed(event("again", "email.received", 5))
    assert (work.ticket(MAIL.id).status, work.ticket(MAIL.id).interactions) == ("open", 2)
