"""The history: entries once each, pages without gap or repeat, and found by an index however many there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.postgres import connect
from projections.sql import load
from projections.timeline import store
from projections.timeline.store import Mark
from projections.values import as_json
from schemas.records import Actor, Attachment, TimelineEntryAdded
from tests.projections.samples import CUSTOMER, MINUTE, NOON, entry, uid

if TYPE_CHECKING:
    from projections.postgres import Connection

pytestmark = pytest.mark.postgres


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    opened = await connect(dsn)
    yield opened
    await opened.close()


async def _all(
    connection: Connection, limit: int, order: store.Order, add: list[TimelineEntryAdded] | None = None
) -> list[str]:
    """Every id by pages of ``limit``; ``add`` is written after the first page."""
    found: list[str] = []
    after = None
    while page := await store.page(connection, CUSTOMER, limit, order, after):
        found += [each.id for each in page]
        after = Mark(page[-1].occurred_at, page[-1].id)
        if add:
            await store.add(connection, add)
            add = None
    return found


async def test_what_is_written_is_what_is_read(connection: Connection) -> None:
    full = entry(
        1,
        actor=Actor("agent", "a1", "care", "own", "north"),
        attachments=[Attachment("a.pdf", "application/pdf", 10, None, "sha256:0")],
        automatic="list",
    )
    bare = entry(2, actor=None, ticket=None, joined_because=None, contact_point=None, subject=None, text=None)
    await store.add(connection, [full, bare])
    assert await store.page(connection, CUSTOMER, 10, "asc") == [full, bare]


async def test_an_entry_that_comes_again_is_dropped(connection: Connection) -> None:
    await store.add(connection, [entry(1), entry(1)])
    await store.add(connection, [entry(1, text="another"), entry(2)])
    found = await store.page(connection, CUSTOMER, 10, "asc")
    assert [(each.sequence, each.text) for each in found] == [(1, "Message 1"), (2, "Message 2")]


async def test_the_null_character_in_a_mail_is_no_reason_to_stop(connection: Connection) -> None:
    await store.add(connection, [entry(1, text="a\x00b", actor=Actor("agent", id="\\u0000 \x00"))])
    (found,) = await store.page(connection, CUSTOMER, 10)
    assert found.text == "a\ufffdb"
    assert found.actor is not None
    assert found.actor.id == "\\u0000 \ufffd"


async def test_pages_are_stable_while_new_entries_arrive(connection: Connection) -> None:
    # Several at one instant: then the id decides, and a page may end between them.
    entries = [entry(n, occurred_at=NOON + n // 3 * MINUTE) for n in range(20)]
    await store.add(connection, entries)
    expected = [e.id for e in sorted(entries, key=lambda e: (e.occurred_at, e.id), reverse=True)]
    newer = [entry(n, occurred_at=NOON + 60 * MINUTE) for n in (20, 21)]
    assert await _all(connection, 7, "desc", newer) == expected
    everything = [e.id for e in sorted([*entries, *newer], key=lambda e: (e.occurred_at, e.id))]
    for limit in (1, 3, 22, 50):
        assert await _all(connection, limit, "asc") == everything
        assert await _all(connection, limit, "desc") == everything[::-1]


async def test_other_customers_are_not_shown(connection: Connection) -> None:
    await store.add(connection, [entry(1), entry(1, customer=uid("other"))])
    assert len(await store.page(connection, CUSTOMER, 10)) == 1
    assert len(await store.since(connection, CUSTOMER, 0, 10)) == 1


async def test_what_is_new_is_read_in_order_of_arrival(connection: Connection) -> None:
    await store.add(connection, [entry(n, occurred_at=NOON - n * MINUTE) for n in range(1, 6)])
    assert [e.sequence for e in await store.since(connection, CUSTOMER, 2, 2)] == [3, 4]
    assert await store.last_sequence(connection, CUSTOMER) == 5
    assert await store.last_sequence(connection, uid("nobody")) == 0


@pytest.mark.parametrize("name", ["newest_first", "newest_first_after", "oldest_first", "oldest_first_after", "since"])
async def test_a_page_is_found_by_an_index_and_needs_no_sorting(connection: Connection, name: str) -> None:
    for customer in range(20):
        await store.add(connection, [entry(n, customer=uid(customer)) for n in range(250)])
    await connection.execute("ANALYZE timeline_entries")
    values: tuple[object, ...] = (uid(3), 50)
    if name.endswith("after"):
        values = (*values, NOON + 100 * MINUTE, uid("any"))
    elif name == "since":
        values = (uid(3), 200, 50)
    lines = await connection.fetch(f"EXPLAIN {load(store.__file__, name)}", *values)
    plan = "\n".join(line[0] for line in lines)
    index = "timeline_entries_by_sequence" if name == "since" else "timeline_entries_by_time"
    assert index in plan
    assert name == "since" or "Sort" not in plan  # a handful of new entries may be sorted; a history may not
    assert "Seq Scan" not in plan


async def test_who_listens_is_told_of_many_customers_in_several_notifications(dsn: str, connection: Connection) -> None:
    told: list[str] = []
    listening = await asyncpg.connect(dsn)
    await listening.add_listener(store.CHANNEL, lambda *heard: told.append(str(heard[-1])))
    everybody = {uid(n) for n in range(1000)}
    async with connection.transaction():
        await store.notify(connection, everybody)
        await store.notify(connection, set())
    while len(told) < 5:
        await listening.execute("SELECT 1")
    assert {each for payload in told for each in payload.split(",")} == everybody
    assert max(map(len, told)) < 8000
    await listening.close()


@given(st.text(alphabet=st.sampled_from(['"', "\\", "u", "0", "\x00", "a"])))
def test_json_for_postgres_has_no_null_character_and_is_otherwise_unchanged(text: str) -> None:
    assert json.loads(as_json([text])) == [text.replace("\x00", "\ufffd")]
