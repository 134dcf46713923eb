"""Decisions in a real PostgreSQL: made once, kept, and the same for everybody who asks, at whatever moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

from domain.identity import Point, customer_id
from projections.identity.store import RETRIED_BEFORE, IdentityStore, Recorded, Undecided
from projections.migrate import migrate
from projections.postgres import open_pool
from runtime.letter_limit import TooManyDeadLetters
from schemas.records import ContactPoint, InteractionReceived
from tests.domain.stories import START, command, event

if TYPE_CHECKING:
    from projections.identity.store import _Known
    from projections.postgres import Connection, Pool

pytestmark = pytest.mark.postgres
SOURCE = "received/0"


class Tables:
    """Two stores with connections of their own, as two workers have, and a look at the tables."""

    def __init__(self, one: IdentityStore, other: IdentityStore, pool: Pool) -> None:
        self.one, self.other, self._pool = one, other, pool

    async def count(self, table: str) -> int:
        return int(await self._pool.fetchval(f"SELECT count(*) FROM {table}"))


@pytest.fixture
async def tables(database: str) -> AsyncIterator[Tables]:
    await migrate(database)
    async with await open_pool(database, most=3) as one, await open_pool(database, most=3) as other:
        yield Tables(IdentityStore(one), IdentityStore(other), one)


def mail(name: str, *points: str, verified: bool = True) -> InteractionReceived:
    """A mail; a point is ``kind:value``."""
    parts = [point.split(":") for point in points]
    given = [ContactPoint(kind, value, verified=verified) for kind, value in parts]
    return event(name, "email.received", 0, points=given or [ContactPoint("email", "customer@example.com")])


def batch(*events: InteractionReceived, begin: int = 0) -> list[Undecided]:
    return [Undecided(begin + number, each) for number, each in enumerate(events)]


def customers(made: dict[int, Recorded]) -> list[str | None]:
    return [made[offset].customer for offset in sorted(made)]


async def test_a_decision_is_made_once_and_every_later_attempt_gets_the_same(tables: Tables) -> None:
    events = batch(mail("a", "email:a@example.com"), mail("b", "email:b@example.com", "phone:+4930901820"))
    first = await tables.one.decide(SOURCE, events, START)
    await tables.one.decide("received/1", batch(mail("c", "phone:+4930901820", "email:a@example.com")), START)
    assert await tables.other.decide(SOURCE, events, START + 1) == first
    assert await tables.count("identity_decisions") == 3


async def test_a_batch_that_was_decided_in_part_keeps_that_part(tables: Tables) -> None:
    events = batch(mail("a", "email:a@example.com"), mail("b", "email:b@example.com"), mail("c", "email:a@example.com"))
    part = await tables.one.decide(SOURCE, events[:2], START)
    whole = await tables.other.decide(SOURCE, events, START)
    assert whole | part == whole
    assert whole[2].customer == whole[0].customer


async def test_refusals_are_decisions_too(tables: Tables) -> None:
    unknown = batch(command("c", "ticket.assigned", 0, str(uuid.UUID(int=7)), team="x"))
    unknown[0].event.contact_points.clear()
    first = await tables.one.decide(SOURCE, unknown, START)
    assert (first[0].customer, first[0].error) == (None, "unknown_ticket")
    assert await tables.other.decide(SOURCE, unknown, START) == first


async def test_a_repeated_event_goes_to_the_same_customer_whatever_was_linked_since(tables: Tables) -> None:
    told = mail("a", "email:a@example.com")
    await tables.one.decide(SOURCE, batch(mail("o", "phone:+4930901820", "external_id:7")), START)
    again = mail("a", "email:a@example.com", "phone:+4930901820")
    made = await tables.one.decide(SOURCE, batch(told, mail("x", "email:x@example.com"), told, begin=1), START)
    later = await tables.other.decide("received/1", batch(again), START)
    assert made[1].customer == made[3].customer == later[0].customer
    assert [made[3].reason, later[0].reason] == ["repeated", "repeated"]


async def test_a_configuration_gets_one_version_however_often_it_comes(tables: Tables) -> None:
    made = event("policy", "configuration.published", 0)
    first = await tables.one.decide(SOURCE, [Undecided(0, made, "{}")], START)
    again = await tables.other.decide(SOURCE, [Undecided(1, made, "{}")], START)
    second = event("policy 2", "configuration.published", 1)
    later = await tables.other.decide(SOURCE, [Undecided(2, second, "{}")], START)
    assert first[0].version == again[1].version
    assert (later[2].version or 0) > (first[0].version or 0)


async def both(
    tables: Tables, one: tuple[str, Sequence[Undecided]], other: tuple[str, Sequence[Undecided]]
) -> list[dict[int, Recorded]]:
    """Both stores decide at the same moment."""
    return list(await asyncio.gather(tables.one.decide(*one, START), tables.other.decide(*other, START)))


async def test_two_workers_that_see_a_new_customer_at_once_agree(tables: Tables) -> None:
    for number in range(20):
        point = f"email:new-{number}@example.com"
        one = batch(mail(f"a{number}", point, f"phone:+4930902{number:03d}"), begin=number)
        other = batch(mail(f"b{number}", f"phone:+4930902{number:03d}", point), begin=number)
        here, there = await both(tables, (SOURCE, one), ("received/1", other))
        assert customers(here) == customers(there)
    assert await tables.count("customers") == 20
    assert await tables.count("contact_points") == 40


async def test_a_worker_that_no_longer_owns_its_partition_gets_what_its_successor_decided(tables: Tables) -> None:
    for round_ in range(20):
        names = [f"email:{round_}-{number}@example.com" for number in range(30)]
        events = batch(*(mail(f"{round_}-{name}", name) for name in names), begin=round_ * 100)
        here, there = await both(tables, (SOURCE, events), (SOURCE, [*events[:17], *events[17:]]))
        assert here == there
    assert await tables.count("identity_decisions") == 600
    assert await tables.count("customers") == 600


class Slow(IdentityStore):
    """Stops, the first time, between reading what is known and writing what follows from it."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.has_read, self.go_on = asyncio.Event(), asyncio.Event()

    async def _known(self, connection: Connection, events: Sequence[InteractionReceived]) -> _Known:
        known = await super()._known(connection, events)
        self.has_read.set()
        await self.go_on.wait()
        return known


async def test_a_decision_made_from_what_was_known_too_long_ago_is_given_up_for_the_one_on_file(tables: Tables) -> None:
    slow = Slow(tables.one._pool)
    (first, other) = (mail("o", "email:a@example.com"), mail("p", "external_id:7"))
    await tables.other.decide("received/1", batch(first), START)
    contested = batch(mail("c", "email:a@example.com", "external_id:7", verified=False))
    late = asyncio.create_task(slow.decide(SOURCE, contested, START))
    await slow.has_read.wait()
    await tables.other.decide("received/1", batch(other, begin=1), START)
    there = await tables.other.decide(SOURCE, contested, START)
    slow.go_on.set()
    assert await late == there
    assert there[0].customer == customer_id(Point("t", "external_id", "7"))


async def test_batches_that_overlap_and_name_each_others_customers_end_without_a_deadlock(tables: Tables) -> None:
    points = [f"email:p{number}@example.com" for number in range(40)]
    forward = batch(*(mail(f"f{number}", point) for number, point in enumerate(points)))
    backward = batch(*(mail(f"b{number}", point) for number, point in enumerate(reversed(points))))
    here, there = await both(tables, (SOURCE, forward), ("received/1", backward))
    assert customers(here) == list(reversed(customers(there)))
    assert await tables.count("customers") == 40


async def test_a_customers_id_follows_from_the_first_contact_point(tables: Tables) -> None:
    made = await tables.one.decide(SOURCE, batch(mail("a", "email:a@example.com")), START)
    assert made[0].customer == customer_id(Point("t", "email", "a@example.com"))


def letter(name: str, made: InteractionReceived, offset: int) -> Undecided:
    """An event that was put back from the letter ``name``."""
    return Undecided(offset, made, letter=name)


async def test_a_letter_is_taken_once_whoever_takes_it_and_in_whatever_batch(tables: Tables) -> None:
    """Put back twice: by a run that was killed before it could write that down, and by the next one."""
    told = mail("a", "email:a@example.com")
    one = [letter("log/0/7/casework", told, 0), letter("log/0/7/casework", told, 1)]
    other = [letter("log/0/7/casework", told, 0)]
    here, there = await both(tables, (SOURCE, one), ("received/1", other))
    taken = [made for made in [*here.values(), *there.values()] if made.reason != RETRIED_BEFORE]
    assert len(taken) == 1
    assert [made.customer for made in [*here.values(), *there.values()]].count(None) == 2
    assert await tables.one.decide(SOURCE, one, START + 1) == here, "a later attempt is no second retry"
    assert await tables.other.decide("received/1", other, START + 1) == there
    later = await tables.other.decide("received/1", [letter("log/0/7/casework", told, 9)], START)
    assert later[9].reason == RETRIED_BEFORE
    assert await tables.count("dead_letter_retries") == 1


async def test_two_workers_that_take_the_same_letters_in_another_order_end_without_a_deadlock(tables: Tables) -> None:
    made = [(f"log/0/{number}/casework", mail(f"m{number}", f"email:m{number}@example.com")) for number in range(60)]
    forward = [letter(name, each, number) for number, (name, each) in enumerate(made)]
    backward = [letter(name, each, number) for number, (name, each) in enumerate(reversed(made))]
    here, there = await both(tables, (SOURCE, forward), ("received/1", backward))
    assert [one.customer for one in [*here.values(), *there.values()]].count(None) == 60
    assert await tables.count("customers") == 60


async def test_a_letter_whose_event_was_taken_meanwhile_goes_nowhere_but_only_if_identity_refused_it(
    tables: Tables,
) -> None:
    """What casework refused had been sent on by identity before: that says nothing."""
    told = mail("a", "email:a@example.com")
    await tables.one.decide(SOURCE, batch(told), START)
    made = await tables.other.decide(
        SOURCE, [letter("received/0/3/identity", told, 5), letter("log/0/3/casework", told, 6)], START
    )
    assert [made[5].reason, made[6].reason] == [RETRIED_BEFORE, "repeated"]


async def test_what_is_not_admitted_is_not_decided(tables: Tables) -> None:
    """Else a version that refuses everything would bind the one that is deployed after it."""
    seen: list[list[str | None]] = []

    def admit(made: Iterable[Recorded]) -> None:
        seen.append([each.error for each in made])
        raise TooManyDeadLetters("too many", {})

    unknown = command("c", "ticket.assigned", 0, str(uuid.UUID(int=7)), team="x")
    unknown.contact_points.clear()
    events = [*batch(mail("a", "email:a@example.com"), unknown), letter("log/0/7/casework", mail("b"), 2)]
    with pytest.raises(TooManyDeadLetters):
        await tables.one.decide(SOURCE, events, START, admit)
    assert seen == [[None, "unknown_ticket", None]]
    for table in ("identity_decisions", "customers", "contact_points", "dead_letter_retries"):
        assert await tables.count(table) == 0, table
    assert (await tables.one.decide(SOURCE, events, START))[2].reason != RETRIED_BEFORE
    with pytest.raises(TooManyDeadLetters):
        await tables.one.decide(SOURCE, events, START, admit)
    assert seen[1] == seen[0], "what was recorded before counts again"
