"""States and commands: every pair of the table, what each command changes, and what is refused, with its reason."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from domain.casework import Casework
from domain.errors import CommandRefused, Reason
from domain.policies import PRIORITIES, STATUSES
from domain.ticket_rules import (
    ALLOWED,
    COLUMNS,
    COMMANDS,
    CONTACT,
    TRANSITIONS,
    Accepted,
    Denied,
    Permission,
    Refused,
    Standing,
    check_command,
    decide,
    evolve,
    may,
)
from schemas.casework_state import Fact
from schemas.records import Actor, ContactPoint, Link, TicketCommand
from schemas.vocabulary import TYPES
from tests.domain.desk import Desk, because, configured, desk
from tests.domain.stories import command, event, late

TICKET, OTHER = event("mail", "email.received", 0).id, event("other", "email.received", 0).id
MAIL = event("mail", "email.received", 0)
WORDS: dict[str, TicketCommand] = {
    "ticket.opened": TicketCommand(),
    "ticket.assigned": TicketCommand(team="second-line", organisation="own"),
    "ticket.escalated": TicketCommand(team="supervisors", level=2),
    "ticket.accepted": TicketCommand(person="agent-2"),
    "ticket.prioritised": TicketCommand(priority="urgent"),
    "ticket.reopened": TicketCommand(),
    "ticket.tagged": TicketCommand(tags=["late"]),
    "ticket.fields_set": TicketCommand(fields={"order": "4711"}),
    "ticket.linked": TicketCommand(link="duplicate", target=OTHER),
    "ticket.unlinked": TicketCommand(target=OTHER),
    "note.added": TicketCommand(comment="called back"),
    "ticket.merged": TicketCommand(target=OTHER),
    "ticket.unmerged": TicketCommand(),
}


def standing(column: str, **changes: object) -> Standing:
    ticket = Standing(
        TICKET, "closed" if column == "merged" else column, "normal", "shipping", "first-line", "vendor-a"
    )
    ticket.merged_into = OTHER if column == "merged" else ""
    for name, value in changes.items():
        setattr(ticket, name, value)
    return ticket


def fact(row: str) -> Fact:
    kind, _, status = row.partition(" ")
    words = TicketCommand(status=status) if status else WORDS[kind]
    return Fact(5, "id", kind, TICKET, "", "internal", "internal", "c", actor="agent", person="agent-1", command=words)


def test_the_table_has_a_row_for_every_command_and_status_and_a_cell_for_every_column() -> None:
    rows = {row for row in TRANSITIONS if row != CONTACT}
    assert rows == {*WORDS, *(f"ticket.status_set {status}" for status in STATUSES)}
    assert all(tuple(cells) == COLUMNS for cells in TRANSITIONS.values())
    assert (*STATUSES, "merged") == COLUMNS
    assert {kind for kind in TYPES if kind.startswith("ticket.")} <= COMMANDS


@pytest.mark.parametrize(("row", "column"), list(product([r for r in TRANSITIONS if r != CONTACT], COLUMNS)))
def test_every_command_on_every_state_has_the_outcome_of_the_table(row: str, column: str) -> None:
    """Decided and evolved alike: what is refused changes nothing, what is accepted has the status the table says."""
    cell = TRANSITIONS[row][column]
    links = [Link("duplicate", OTHER, 1)] if row == "ticket.unlinked" else []
    ticket, before = standing(column, links=links), standing(column, links=links)
    decision = decide(fact(row), ticket)
    assert ticket == before, "a decision changes nothing"
    if isinstance(cell, Reason):
        assert isinstance(decision, Refused)
        assert (decision.reason, bool(decision.detail)) == (cell, True)
        assert not evolve(ticket, fact(row))
        assert ticket == before
    else:
        assert isinstance(decision, Accepted)
        assert decision.after.status == (cell or before.status)
        assert evolve(ticket, fact(row))
        assert ticket == decision.after


def test_a_contact_opens_what_is_not_closed() -> None:
    assert dict(TRANSITIONS[CONTACT]) == dict.fromkeys(STATUSES[:4], "open") | {"closed": "", "merged": ""}


@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row not in (CONTACT, "ticket.unmerged", "note.added")])
def test_the_same_command_twice_changes_nothing_and_says_so(row: str) -> None:
    links = [Link("duplicate", OTHER, 1)] if row == "ticket.unlinked" else []
    ticket = standing("pending", links=links, level=1)
    first = decide(fact(row), ticket)
    assert isinstance(first, Accepted)
    assert first.because == (
        "named" if row not in ("ticket.opened", "ticket.status_set pending") else "changes_nothing"
    )
    again = decide(fact(row), first.after)
    if isinstance(again, Refused):
        assert again.reason in (Reason.NOT_OPEN, Reason.TICKET_CLOSED, Reason.ALREADY_MERGED, Reason.NOT_LINKED)
    else:
        assert (again.because, again.after) == ("changes_nothing", first.after)


def test_a_command_said_twice_to_the_hub_is_dropped_by_id_and_named_by_content() -> None:
    work = desk()
    take = command("take", "ticket.assigned", 5, TICKET, team="second-line")
    work.feed(MAIL, take)
    assert work.feed(take) == []
    said = work.feed(command("again", "ticket.assigned", 6, TICKET, team="second-line"))
    assert because(said) == "changes_nothing"
    assert work.ticket(TICKET).team == "second-line"


@pytest.mark.parametrize(
    ("made", "reason", "where"),
    [
        (command("x", "ticket.status_set", 1, TICKET, status="parked"), Reason.UNKNOWN_STATUS, "facts.status"),
        (command("x", "ticket.status_set", 1, TICKET), Reason.UNKNOWN_STATUS, "facts.status"),
        (command("x", "ticket.prioritised", 1, TICKET, priority="asap"), Reason.UNKNOWN_PRIORITY, "facts.priority"),
        (command("x", "ticket.prioritised", 1, TICKET), Reason.MISSING_FIELD, "facts.priority"),
        (command("x", "ticket.assigned", 1, TICKET), Reason.MISSING_FIELD, "facts"),
        (command("x", "ticket.escalated", 1, TICKET), Reason.MISSING_FIELD, "facts"),
        (command("x", "ticket.escalated", 1, TICKET, level=0), Reason.BAD_VALUE, "facts.level"),
        (command("x", "ticket.escalated", 1, TICKET, level=-1, team="x"), Reason.BAD_VALUE, "facts.level"),
        (command("x", "ticket.fields_set", 1, TICKET), Reason.MISSING_FIELD, "facts.fields"),
        (command("x", "ticket.linked", 1, TICKET, target=OTHER), Reason.MISSING_FIELD, "facts.link"),
        (command("x", "ticket.linked", 1, TICKET, link="parent"), Reason.MISSING_FIELD, "facts.target"),
        (command("x", "ticket.linked", 1, TICKET, link="twin", target=OTHER), Reason.UNKNOWN_LINK, "facts.link"),
        (command("x", "ticket.linked", 1, TICKET, link="parent", target="4711"), Reason.BAD_VALUE, "facts.target"),
        (command("x", "ticket.linked", 1, TICKET, link="parent", target=TICKET), Reason.SAME_TICKET, "facts.target"),
        (command("x", "ticket.unlinked", 1, TICKET), Reason.MISSING_FIELD, "facts.target"),
        (command("x", "ticket.unlinked", 1, TICKET, target=OTHER), Reason.NOT_LINKED, ""),
        (command("x", "ticket.merged", 1, TICKET), Reason.MISSING_FIELD, "facts.target"),
        (command("x", "ticket.unmerged", 1, TICKET), Reason.NOT_MERGED, ""),
        (command("x", "ticket.opened", 1, "", ticket_type="epic"), Reason.BAD_VALUE, "facts.ticket_type"),
        (command("x", "ticket.assigned", 1, "", team="second-line"), Reason.MISSING_FIELD, ""),
        (command("x", "ticket.assigned", 1, OTHER, team="second-line"), Reason.TICKET_CLOSED, ""),
    ],
)
def test_a_command_without_sense_is_refused_with_its_reason_and_place(made: object, reason: Reason, where: str) -> None:
    work = desk()
    work.feed(MAIL)
    error = work.refused(made)  # type: ignore[arg-type]  # an event, as parametrize does not know
    assert (error.reason, error.where) == (reason, where)
    assert error.detail


def test_a_command_that_names_two_tickets_is_refused() -> None:
    work = desk()
    work.feed(MAIL)
    made = command("x", "ticket.assigned", 1, TICKET, team="second-line")
    made = msgspec.structs.replace(made, contact_points=[ContactPoint("hub", f"ticket:{OTHER}")])
    assert work.refused(made).reason == Reason.CONTRADICTORY


def test_a_command_without_facts_says_nothing_and_is_refused() -> None:
    work = desk()
    work.feed(MAIL)
    assert work.refused(event("x", "ticket.assigned", 1)).reason == Reason.MISSING_FIELD


def test_what_is_no_command_is_none_whatever_its_facts_are() -> None:
    work = desk()
    work.feed(MAIL)
    said = work.feed(event("odd", "email.received", 1, facts=TicketCommand(ticket=TICKET, status="closed")))
    assert because(said) == "named"
    assert (work.ticket(TICKET).status, work.ticket(TICKET).interactions) == ("open", 2)


def test_a_command_for_a_closed_ticket_says_where_to_turn() -> None:
    work = desk()
    work.feed(MAIL, command("end", "ticket.status_set", 10, TICKET, status="closed"))
    error = work.refused(command("x", "ticket.assigned", 11, TICKET, team="second-line"))
    assert (error.reason, "open a new one" in error.detail) == (Reason.TICKET_CLOSED, True)
    assert because(work.feed(command("end2", "ticket.status_set", 12, TICKET, status="closed"))) == "changes_nothing"
    work.feed(late(command("late", "ticket.tagged", 9, TICKET, tags=["before it was closed"]), 13))
    assert work.ticket(TICKET).tags == ["before it was closed"], "what was done before the end is no contradiction"


def test_closing_by_time_closes_for_commands_too() -> None:
    work = desk()
    work.feed(MAIL, command("done", "ticket.status_set", 10, TICKET, status="resolved"))
    late = 10 + 8 * 24 * 60
    assert work.refused(command("x", "ticket.reopened", late, TICKET)).reason == Reason.TICKET_CLOSED


def test_contradicting_commands_of_one_instant_end_the_same_in_any_order() -> None:
    """What stops a clock, then what pauses it, then the rest; the last one stands."""
    made = [
        command("a", "ticket.status_set", 10, TICKET, status="resolved"),
        command("b", "ticket.status_set", 10, TICKET, status="pending"),
        command("c", "ticket.assigned", 10, TICKET, team="one"),
        command("d", "ticket.assigned", 10, TICKET, team="two"),
    ]
    ends = set()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        work = desk()
        work.feed(MAIL, *(made[index] for index in order))
        ends.add((work.ticket(TICKET).status, work.ticket(TICKET).team))
    assert len(ends) == 1
    assert next(iter(ends))[0] == "pending"


def test_everybody_may_until_there_are_rules_and_one_function_is_asked() -> None:
    assert may(None, "ticket.assigned", standing("open")) == ALLOWED
    asked: list[tuple[str, str, str]] = []

    def only_own(actor: Actor | None, action: str, ticket: Standing) -> Permission:
        asked.append((actor.organisation or "" if actor else "", action, ticket.status))
        return (
            ALLOWED if actor and actor.organisation == "vendor-a" else Denied("only the vendor may; ask its team lead")
        )

    work = Desk(Casework(may=only_own))
    work.work.configure("t", configured())
    work.feed(MAIL)
    error = work.refused(command("x", "ticket.assigned", 1, TICKET, team="second-line"))
    assert (error.reason, error.detail) == (Reason.NOT_ALLOWED, "only the vendor may; ask its team lead")
    assert asked == [("own", "ticket.assigned", "open")]


def test_what_each_command_changes() -> None:
    work = desk()
    work.feed(MAIL)
    steps: list[tuple[str, dict[str, object], dict[str, object]]] = [
        ("ticket.assigned", {"queue": "returns"}, {"queue": "returns", "team": "first-line"}),
        ("ticket.assigned", {"person": "agent-3"}, {"person": "agent-3", "organisation": "vendor-a"}),
        ("ticket.assigned", {"organisation": "own"}, {"organisation": "own", "team": None, "person": None}),
        ("ticket.escalated", {"team": "supervisors"}, {"team": "supervisors", "level": 1}),
        ("ticket.escalated", {"level": 3}, {"team": "supervisors", "level": 3}),
        ("ticket.tagged", {"tags": ["a", "b"]}, {"tags": ["a", "b"]}),
        ("ticket.fields_set", {"fields": {"order": "1", "shop": "x"}}, {"fields": {"order": "1", "shop": "x"}}),
        ("ticket.fields_set", {"fields": {"order": "", "size": "9"}}, {"fields": {"shop": "x", "size": "9"}}),
        ("ticket.prioritised", {"priority": "high"}, {"priority": "high"}),
        ("ticket.status_set", {"status": "on_hold"}, {"status": "on_hold"}),
        ("ticket.status_set", {"status": "resolved"}, {"status": "resolved"}),
        ("ticket.reopened", {}, {"status": "open", "reopened": 1, "resolved_at": None}),
        ("ticket.linked", {"link": "caused_by", "target": OTHER}, {}),
    ]
    for number, (kind, words, expected) in enumerate(steps, 1):
        work.feed(command(f"step {number}", kind, number, TICKET, **words))
        now = work.ticket(TICKET)
        assert {name: getattr(now, name) for name in expected} == expected, kind
    assert [(link.kind, link.ticket) for link in work.ticket(TICKET).links] == [("caused_by", OTHER)]
    work.feed(command("apart", "ticket.unlinked", 20, TICKET, target=OTHER))
    assert work.ticket(TICKET).links == []


def test_taking_a_ticket_on_is_noted_once_and_ends_with_the_next_owner() -> None:
    work = desk()
    work.feed(MAIL, command("take", "ticket.accepted", 5, TICKET))
    assert (work.ticket(TICKET).accepted_at, work.ticket(TICKET).person) == (
        MAIL.occurred_at + 5 * 60_000_000,
        "agent-1",
    )
    assert because(work.feed(command("take2", "ticket.accepted", 6, TICKET))) == "changes_nothing"
    work.feed(command("on", "ticket.assigned", 7, TICKET, team="second-line"))
    assert work.ticket(TICKET).accepted_at is None


def test_a_ticket_has_one_parent_and_none_stands_below_itself() -> None:
    work = desk()
    work.feed(MAIL, command("two", "ticket.opened", 1, ""), command("three", "ticket.opened", 2, ""))
    two, three = command("two", "ticket.opened", 1, "").id, command("three", "ticket.opened", 2, "").id
    work.feed(
        command("l1", "ticket.linked", 3, two, link="parent", target=TICKET),
        command("l2", "ticket.linked", 4, three, link="parent", target=two),
    )
    error = work.refused(command("l3", "ticket.linked", 5, TICKET, link="parent", target=three))
    assert error.reason == Reason.CYCLE
    work.feed(command("l4", "ticket.linked", 6, three, link="parent", target=TICKET))
    assert [link.ticket for link in work.ticket(three).links] == [TICKET]


@pytest.mark.parametrize("priority", PRIORITIES)
def test_words_that_are_known_are_accepted(priority: str) -> None:
    check_command("ticket.prioritised", TicketCommand(priority=priority))


def test_a_refusal_is_an_error_of_the_domain() -> None:
    with pytest.raises(CommandRefused):
        check_command("ticket.merged", TicketCommand())
