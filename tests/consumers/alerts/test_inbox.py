"""What verdicts leave in the inbox, and that a position is only moved by whoever holds it."""

from __future__ import annotations

import asyncio

import pytest

from consumers.alerts.inbox import fold, put
from consumers.reading import Fenced
from domain.alerts import Reading
from projections.alerts import store
from projections.alerts.store import Move
from tests.consumers.alerts.conftest import NOW, TOPIC, Inbox, eventually, verdict

pytestmark = pytest.mark.postgres


async def test_a_breach_waits_for_each_receiver(inbox: Inbox) -> None:
    inbox.names = ("webhook", "alertmanager")
    assert await inbox.put(verdict("breached")) == [Reading.OPENED]
    rows = await inbox.views()
    assert [(row.receiver, row.state, row.kind) for row in rows] == [
        ("alertmanager", "waiting", "breach"),
        ("webhook", "waiting", "breach"),
    ]


async def test_the_same_batch_again_changes_nothing(inbox: Inbox) -> None:
    batch = [verdict("warned", 1, threshold=75), verdict("breached", 2), verdict("breached", 1, 2)]
    await inbox.put(*batch)
    before = [await inbox.views(number) for number in (1, 2)]
    assert set(await inbox.put(*batch)) == {Reading.REPEATED}
    assert [await inbox.views(number) for number in (1, 2)] == before


async def test_a_repeat_after_the_alert_was_closed_does_not_open_it_again(inbox: Inbox) -> None:
    await inbox.put(verdict("breached", 1), verdict("retracted", 2))
    assert await inbox.put(verdict("breached", 1)) == [Reading.REPEATED]
    (row,) = await inbox.views()
    assert row.because == "retracted"


async def test_verdicts_of_one_clock_from_two_partitions_in_the_wrong_order(inbox: Inbox) -> None:
    assert await inbox.put(verdict("retracted", 2)) == [Reading.NOTHING_OPEN]
    assert await inbox.put(verdict("breached", 1)) == [Reading.REPEATED]
    assert await inbox.views() == []


async def test_a_quiet_breach_is_recorded_and_waits_for_nobody(inbox: Inbox) -> None:
    assert await inbox.put(verdict("breached", quiet="found_late")) == [Reading.QUIET]
    (row,) = await inbox.views()
    assert (row.quiet, row.receiver) == ("found_late", None)
    async with inbox.pool.acquire() as connection:
        assert await store.backlog(connection, "webhook") == store.Backlog(0, None)


async def test_kept_promises_leave_no_row(inbox: Inbox) -> None:
    await inbox.put(*(verdict("met", 1, number) for number in range(50)))
    async with inbox.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM alert_clocks") == 0


async def test_text_that_postgresql_can_not_store(inbox: Inbox) -> None:
    told = verdict("breached")
    values = {name: getattr(told, name) for name in told.__struct_fields__}
    await inbox.put(type(told)(**values | {"subject": "nul \x00 and \\u0000", "tenant": "a\x00b"}))
    assert len(await inbox.views()) == 1


async def test_a_position_that_another_moved_stops_the_batch(inbox: Inbox) -> None:
    await inbox.put(verdict("breached"))
    async with inbox.pool.acquire() as connection:
        with pytest.raises(Fenced, match="another process"):
            await put(connection, TOPIC, {0: Move(0, 1)}, [verdict("breached", 1, 2)], ["webhook"], NOW)
        assert await store.positions(connection, TOPIC, [0]) == {0: 1}
    assert await inbox.views(2) == []


async def test_two_that_hold_the_same_partition_write_it_once(inbox: Inbox) -> None:
    async def attempt() -> bool:
        async with inbox.pool.acquire() as connection:
            await store.positions(connection, TOPIC, [0])
            try:
                await put(connection, TOPIC, {0: Move(0, 1)}, [verdict("breached")], ["webhook"], NOW)
            except Fenced:
                return False
            return True

    assert sorted(await asyncio.gather(*(attempt() for _ in range(5)))) == [False] * 4 + [True]
    assert len(await inbox.views()) == 1


async def test_two_partitions_that_bring_verdicts_of_one_clock_take_turns(inbox: Inbox) -> None:
    async with inbox.pool.acquire() as first, inbox.pool.acquire() as second:
        await store.positions(second, TOPIC, [0])
        transaction = first.transaction()
        await transaction.start()
        await store.alone(first)
        changes, _ = fold({}, [verdict("breached", 1)])
        await store.record(first, changes, ["webhook"], NOW)
        later = asyncio.create_task(put(second, TOPIC, {0: Move(0, 1)}, [verdict("retracted", 2)], ["webhook"], NOW))

        async def waits() -> bool:
            held_up = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
            return later.done() or bool(await first.fetchval(held_up, second.get_server_pid()))

        await eventually(waits)
        await transaction.commit()
        assert await later == [Reading.CLOSED]


async def test_alerts_of_a_ticket_are_listed_with_what_each_receiver_said(inbox: Inbox) -> None:
    await inbox.put(verdict("warned", 1, threshold=75), verdict("breached", 2))
    rows = await inbox.views()
    assert [(row.kind, row.threshold, row.because) for row in rows] == [
        ("warning", 75, "breached"),
        ("breach", 0, None),
    ]
