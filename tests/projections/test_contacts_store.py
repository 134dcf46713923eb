"""Contacts follow from the entries alone: whatever comes late, twice, or from two partitions at once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import pytest

from domain.contacts import measure
from hub.local.ami_peer import answered_call
from projections.contacts import store
from projections.contacts.store import Conversation
from projections.postgres import connect
from projections.rebuilding import store as rebuilding
from projections.sql import load
from projections.timeline import store as timeline
from schemas.records import CallFacts, TimelineEntryAdded
from tests.adapters.asterisk_ami.ami_fakes import NOW, NUMBER, SECOND
from tests.domain.calls import asterisk, told
from tests.projections.samples import entry, uid

if TYPE_CHECKING:
    from projections.postgres import Connection

pytestmark = pytest.mark.postgres
ROWS = "SELECT number, outcome, queue, waited, talked, person FROM contacts ORDER BY id, number"
CALL = asterisk(
    answered_call(
        "2.1", NUMBER, "support", "Agent/7", offered=NOW, queued=NOW, answered=NOW + 12 * SECOND,
        ended=NOW + 72 * SECOND,
    )
)  # fmt: skip
MOVED = [
    told("call.offered", 0),
    told("call.queued", 1, queue="support"),
    told("call.queued", 41, queue="overflow"),
    told("call.abandoned", 50, queue="overflow"),
]


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    opened = await connect(dsn)
    yield opened
    await opened.close()


async def write(connection: Connection, entries: Sequence[TimelineEntryAdded]) -> None:
    """As the projector does."""
    async with connection.transaction():
        await timeline.add(connection, entries)
        await store.add(connection, entries)


async def rows(connection: Connection) -> list[tuple[object, ...]]:
    found = await connection.fetch(
        "SELECT number, outcome, queue, waited, talked, person FROM contacts ORDER BY id, number"
    )
    return [tuple(row) for row in found]


async def differences(connection: Connection) -> list[str]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return (await store.differences(connection))[0]


async def test_a_call_is_measured_with_each_of_its_entries(connection: Connection) -> None:
    await write(connection, CALL[:2])
    assert await rows(connection) == [(1, "waiting", "support", None, None, None)]
    await write(connection, [*CALL[2:], entry(1)])
    assert await rows(connection) == [(1, "answered", "support", 12 * SECOND, 60 * SECOND, "Agent/7")]
    held = await connection.fetchrow("SELECT * FROM contacts")
    assert held is not None
    assert str(held["id"]) == Conversation("default", "asterisk:pbx:2.1").id
    assert await differences(connection) == []


async def test_late_and_doubled_entries_give_the_same_rows(connection: Connection) -> None:
    every = [*CALL, *MOVED]
    chance = random.Random(5)
    for _ in range(4):
        await connection.execute("TRUNCATE timeline_entries, contacts")
        some = every + chance.sample(every, 4)
        chance.shuffle(some)
        while some:
            await write(connection, some[:3])
            some = some[3:]
        assert len(await rows(connection)) == 3
        assert await differences(connection) == []


async def test_two_who_measure_one_conversation_at_once_wait_for_each_other(dsn: str, connection: Connection) -> None:
    """Half of a call's entries are of another customer, so on another partition: neither overwrites the other's."""
    other = await connect(dsn)
    theirs = [msgspec.structs.replace(each, customer=uid("other")) for each in MOVED[2:]]
    held = connection.transaction()
    await held.start()
    await timeline.add(connection, MOVED[:2])
    await store.add(connection, MOVED[:2])
    second = asyncio.create_task(write(other, theirs))
    async with asyncio.timeout(30):
        third = await connect(dsn)
        while not second.done() and not await third.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.wait([second], timeout=0.01)
        await third.close()
        await held.commit()
        await second
    await other.close()
    assert [row[:4] for row in await rows(connection)] == [
        (1, "left", "support", 40 * SECOND),
        (2, "abandoned", "overflow", 9 * SECOND),
    ]
    assert await differences(connection) == []


async def test_a_turn_that_is_no_longer_there_is_removed(connection: Connection) -> None:
    await write(connection, MOVED)
    await connection.execute("DELETE FROM timeline_entries WHERE id = $1", MOVED[2].id)
    await store.add(connection, MOVED[:1])
    assert [row[0] for row in await rows(connection)] == [1]


async def test_a_row_that_says_something_else_is_found(connection: Connection) -> None:
    await write(connection, [*CALL, *MOVED])
    moved = Conversation("default", "call-1").id
    await connection.execute("UPDATE contacts SET waited = waited + 1 WHERE id = $1 AND number = 1", moved)
    await connection.execute("DELETE FROM contacts WHERE id = $1 AND number = 2", moved)
    await connection.execute("UPDATE contacts SET id = $1 WHERE queue = 'support' AND id <> $2", uid("stray"), moved)
    found = await differences(connection)
    called = Conversation("default", "asterisk:pbx:2.1").id
    assert sorted(found) == sorted(
        [
            f"contacts: {moved} turn 1 says something else than its entries",
            f"contacts: {moved} turn 2 is missing",
            f"contacts: {called} turn 1 is missing",
            f"contacts: {uid('stray')} turn 1 stands for no entries",
        ]
    )


async def test_many_rows_are_compared_page_by_page(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_READ", 3)
    calls = [
        msgspec.structs.replace(each, id=uid(n, each.id), conversation=f"call-{n}") for n in range(9) for each in MOVED
    ]
    await write(connection, calls)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        assert await store.differences(connection) == ([], 18)


async def test_a_rebuild_measures_the_same(connection: Connection) -> None:
    await write(connection, [*CALL, *MOVED])
    await rebuilding.begin(connection)
    once = {each.id: each for each in [*CALL, entry(1), *MOVED]}
    await timeline.copy(connection, rebuilding.SCHEMA, list(once.values()))
    async with connection.transaction():
        assert await store.copy(connection, rebuilding.SCHEMA) == 3
    await rebuilding.finish(connection)
    before = await rows(connection)
    await rebuilding.replace(connection, {})
    assert await rows(connection) == before
    assert await differences(connection) == []
    await write(connection, MOVED)  # the indexes are there


async def test_names_of_any_length_and_the_null_character(connection: Connection) -> None:
    odd = [
        msgspec.structs.replace(each, conversation="\x00" + "n" * 10_000, call=CallFacts(queue="a\x00b"))
        for each in MOVED
    ]
    await write(connection, odd)
    assert {row[2] for row in await rows(connection)} == {"a\ufffdb"}
    assert await differences(connection) == []


async def test_the_entries_of_a_conversation_are_found_by_an_index(connection: Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetchval(
        f"EXPLAIN (FORMAT json) {load(store.__file__, 'entries')}", ["default"], ["call-1"]
    )
    assert "timeline_entries_of_contacts" in json.dumps(json.loads(plan))


def test_the_order_of_a_conversations_entries_is_not_needed() -> None:
    assert measure(reversed(MOVED)) == measure(MOVED)
