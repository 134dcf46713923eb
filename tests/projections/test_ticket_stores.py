"""Tickets, their clocks, verdicts, contact points and positions: only what is newer, and only from the right place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from projections.customers import store as customers
from projections.positions import store as positions
from projections.positions.store import Place, Step
from projections.postgres import connect
from projections.tickets import store as tickets
from projections.tickets.store import Filter, Mark
from projections.verdicts import store as verdicts
from schemas.records import Handling, Link, TicketChanged
from tests.projections.samples import CUSTOMER, MINUTE, NOON, TICKET, clock, ticket, uid, verdict

if TYPE_CHECKING:
    from projections.postgres import Connection

pytestmark = pytest.mark.postgres


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    opened = await connect(dsn)
    yield opened
    await opened.close()


async def test_a_ticket_is_read_as_it_was_written(connection: Connection) -> None:
    written = ticket(
        2,
        clocks=[clock(state="met", ended_at=NOON + 5, warned=[75]), clock(metric="resolution", due_at=None)],
        resolved_at=NOON + 7,
        follows=uid("before"),
        reopened=1,
    )
    await tickets.put(connection, [written])
    assert await tickets.get(connection, TICKET) == written
    assert await tickets.get(connection, uid("none")) is None


async def test_a_tickets_level_links_merges_and_handling_are_read_as_they_were_written(connection: Connection) -> None:
    await tickets.put(connection, [ticket(1)])
    written = ticket(
        2,
        level=2,
        about="order=4711",
        ticket_type="task",
        tier="gold",
        fields={"size": "9", "colour": "red"},
        links=[Link("parent", uid("above"), NOON), Link("caused_by", uid("cause"), NOON + 1)],
        merged_into=uid("target"),
        merged=[uid("source"), uid("source 2")],
        accepted_at=NOON + 3,
        handled_by=[Handling(NOON, NOON + 5, 3, "vendor-a", "support"), Handling(NOON + 1, NOON + 1, 1, "own")],
        concurrent_at=NOON + 5,
    )
    await tickets.put(connection, [written])
    assert await tickets.get(connection, TICKET) == written


async def test_only_a_newer_state_replaces_a_ticket_and_its_clocks(connection: Connection) -> None:
    second = ticket(2, status="pending", clocks=[clock(state="paused"), clock(cycle=2)])
    await tickets.put(connection, [ticket(1), second, ticket(1)])
    assert await tickets.get(connection, TICKET) == second
    await tickets.put(connection, [ticket(1), ticket(2, status="open")])
    assert await tickets.get(connection, TICKET) == second
    third = ticket(3, clocks=[clock(cycle=2)])  # judged again: the first cycle never was
    await tickets.put(connection, [third])
    assert await tickets.get(connection, TICKET) == third


async def test_lists_are_filtered_and_paged(connection: Connection) -> None:
    many = [
        ticket(1, id=uid("t", n), opened_at=NOON + n // 2, team=f"team-{n % 2}", status="open" if n % 3 else "closed")
        for n in range(12)
    ]
    await tickets.put(connection, many)
    newest = sorted(many, key=lambda t: (t.opened_at, t.id), reverse=True)
    assert await tickets.page(connection, Filter(), 50) == newest
    assert await tickets.page(connection, Filter(), 5, Mark(newest[4].opened_at, newest[4].id)) == newest[5:10]
    wanted = Filter(status=["open"], team="team-1", customer=CUSTOMER, organisation="vendor-a", tenant="default")
    assert await tickets.page(connection, wanted, 50) == [
        t for t in newest if t.status == "open" and t.team == "team-1"
    ]
    assert await tickets.page(connection, Filter(organisation="own"), 50) == []


async def test_what_is_due_next_comes_first_and_what_is_never_due_last(connection: Connection) -> None:
    def due(name: str, *at: int, **changes: object) -> None:
        clocks = [clock(cycle=n, due_at=NOON + minutes * MINUTE) for n, minutes in enumerate(at)]
        wanted.append(ticket(1, id=uid(name), subject=name, clocks=clocks, **changes))

    wanted: list[TicketChanged] = []
    due("later", 60, 30)
    due("never")
    due("resolved", 1, status="resolved")
    due("sooner", 20)
    wanted.append(ticket(1, id=uid("missed"), subject="missed", clocks=[clock(state="breached_running", due_at=NOON)]))
    wanted.append(ticket(1, id=uid("met"), subject="met", opened_at=NOON + 1, clocks=[clock(state="met")]))
    await tickets.put(connection, wanted)
    found = [each.subject for each in await tickets.open_by_due(connection, 10)]
    assert found == ["missed", "sooner", "later", "never", "met"]


async def test_a_verdict_is_written_once_with_its_evidence(connection: Connection) -> None:
    first, second = verdict(1, outcome="warned", threshold=75), verdict(2)
    await verdicts.add(connection, [second, first, first])
    await verdicts.add(connection, [verdict(1, outcome="met")])
    assert await verdicts.of_tickets(connection, [TICKET]) == [first, second]
    assert await verdicts.get(connection, TICKET, second.id) == second
    assert await verdicts.get(connection, uid("other"), second.id) is None


async def test_a_position_moves_only_from_where_it_is_expected(connection: Connection) -> None:
    here, there = Place("entries", 0), Place("entries", 1)
    assert await positions.take(connection, [here, there]) == {here: 0, there: 0}
    assert await positions.move(connection, {here: Step(0, 10), there: Step(0, 3)}) == set()
    assert await positions.move(connection, {here: Step(10, 12), there: Step(2, 5)}) == {there}
    assert await positions.take(connection, [here, there]) == {here: 12, there: 3}


async def test_a_merged_customer_answers_as_the_one_it_was_merged_into(connection: Connection) -> None:
    add = "INSERT INTO customers VALUES ($1, 'default', now(), 'email', 'customer@example.com', $2)"
    await connection.execute(add, uid("old"), uid("middle"))
    await connection.execute(add, uid("middle"), CUSTOMER)
    await connection.execute(add, CUSTOMER, None)
    for asked in (uid("old"), uid("middle"), CUSTOMER):
        found = await customers.get(connection, asked)
        assert found is not None
        assert (found.id, found.tenant) == (CUSTOMER, "default")
    assert await customers.get(connection, uid("nobody")) is None


async def test_a_shared_contact_point_finds_nobody(connection: Connection) -> None:
    add = "INSERT INTO contact_points VALUES ('default', $1, $2, $3, true, $4, 'first contact', now(), $3)"
    await connection.execute(add, "phone", "+4930901820", CUSTOMER, False)
    await connection.execute(add, "whatsapp_user", "+4930901820", uid("other"), False)
    await connection.execute(add, "email", "info@example.com", CUSTOMER, True)
    both = await customers.by_contact(connection, ["+4930901820"])
    assert {each.customer for each in both} == {CUSTOMER, uid("other")}
    assert [p.customer for p in await customers.by_contact(connection, ["+4930901820"], "phone")] == [CUSTOMER]
    assert await customers.by_contact(connection, ["+4930901820"], tenant="another") == []
    assert await customers.by_contact(connection, ["info@example.com"]) == []
    assert len(await customers.contact_points(connection, CUSTOMER)) == 2
