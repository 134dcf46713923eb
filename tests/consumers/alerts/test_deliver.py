"""Each alert reaches each receiver once and in order, whatever the receiver does; time is moved, not waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from consumers.alerts.alertmanager import AlertmanagerReceiver
from consumers.alerts.webhook import WebhookReceiver
from projections.alerts import store
from tests.consumers.alerts.conftest import (
    HOUR,
    NOW,
    SECRET,
    Heard,
    Inbox,
    Server,
    accept,
    answer,
    drop,
    eventually,
    hang,
    ticket,
    verdict,
)
from tests.shared import ROOT

pytestmark = pytest.mark.postgres


def webhook(server: Server, name: str = "webhook", seconds: float = 5.0) -> WebhookReceiver:
    return WebhookReceiver(server.url, SECRET, name=name, seconds=seconds)


async def test_a_breach_goes_out_once(inbox: Inbox, server: Server) -> None:
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    row = await inbox.until(state="accepted")
    assert (row.told_at, row.attempts, row.reason) == (NOW, 0, None)
    await inbox.put(verdict("breached"))
    inbox.move(3600)
    await inbox.put(verdict("breached", number=2))
    await inbox.until(2, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(1), ticket(2)]


async def test_what_was_left_is_sent_by_the_next_deliverer(inbox: Inbox, server: Server) -> None:
    await inbox.put(*(verdict("breached", number=number) for number in range(5)))
    inbox.deliver(webhook(server))
    await server.until(5)
    assert {heard.ticket for heard in server.heard} == {ticket(number) for number in range(5)}


async def test_it_is_tried_again_with_the_same_id_until_it_is_accepted(inbox: Inbox, server: Server) -> None:
    server.script = [answer(500), answer(503), drop, answer(404)]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    for attempt, (seconds, reason) in enumerate(
        [(1, "failed"), (2, "unavailable"), (4, "dropped"), (8, "misconfigured")], start=1
    ):
        row = await inbox.until(attempts=attempt, reason=reason)
        assert row.state == "waiting"
        inbox.move(seconds - 0.001)
        inbox.move(0.001)
    await inbox.until(state="accepted")
    assert len(server.heard) == 5
    assert len({heard.id for heard in server.heard}) == 1
    assert len({heard.body for heard in server.heard}) == 1
    server.verify()


async def test_it_is_not_tried_before_its_time(inbox: Inbox, server: Server) -> None:
    server.script = [answer(500)]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await inbox.until(attempts=1, reason="failed")
    inbox.move(0.999)
    await inbox.put(verdict("breached", number=2))
    await inbox.until(2, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(1), ticket(2)]
    inbox.move(0.001)
    await inbox.until(1, state="accepted")


async def test_a_receiver_that_is_gone_delays_no_other_and_loses_nothing(
    inbox: Inbox, server: Server, other_server: Server
) -> None:
    inbox.names = ("webhook", "other")
    port = server.port
    await server.stop()
    inbox.deliver(webhook(server))
    inbox.deliver(webhook(other_server, "other"))
    await inbox.put(*(verdict("breached", number=number) for number in range(40)))
    await other_server.until(40)
    for number in range(40):
        await inbox.until(number, receiver="webhook", state="waiting", reason="unreachable")
    await server.start(port)
    inbox.move(60)
    await server.until(40)
    assert len({heard.id for heard in server.heard}) == 40


async def test_a_receiver_that_hangs_delays_no_other(inbox: Inbox, server: Server, other_server: Server) -> None:
    inbox.names = ("webhook", "other")
    server.then = hang
    inbox.deliver(webhook(server))
    inbox.deliver(webhook(other_server, "other"))
    await inbox.put(*(verdict("breached", number=number) for number in range(40)))
    await other_server.until(40, seconds=4)


async def test_once_the_receiver_answers_all_that_waits_goes_at_once(inbox: Inbox, server: Server) -> None:
    server.then = answer(503)
    inbox.deliver(webhook(server))
    numbers = range(300)
    await inbox.put(*(verdict("breached", number=number) for number in numbers))
    await server.until(300)
    for _ in range(6):
        inbox.move(1)
        await inbox.put()
    await inbox.until(1, reason="unavailable")
    server.then = accept
    inbox.move(1)
    await server.until_true(lambda: _accepted(server, 300), seconds=30)
    for number in numbers:
        await inbox.until(number, state="accepted")


def _accepted(server: Server, count: int) -> bool:
    return len({heard.id for heard in server.heard[300:]}) >= count


async def test_one_that_is_refused_is_parked_in_sight_and_blocks_nobody(inbox: Inbox, server: Server) -> None:
    async def refuse_the_first(heard: Heard, request: web.Request) -> web.Response:
        return web.Response(status=400, text="no such field") if heard.ticket == ticket(0) else web.Response()

    server.then = refuse_the_first
    failed = _metric("hub_alerts_failed_total", reason="refused")
    inbox.deliver(webhook(server))
    await inbox.put(*(verdict("breached", number=number) for number in range(20)))
    for number in range(1, 20):
        await inbox.until(number, state="accepted")
    row = await inbox.until(0, state="parked")
    assert (row.reason, row.detail) == ("refused", "400: no such field")
    await until_metric("hub_alerts_failed_total", failed + 1, reason="refused")
    inbox.move(3600)
    await inbox.put(verdict("retracted", 2, 0))
    assert (await inbox.until(0, because="retracted")).state == "parked"
    async with inbox.pool.acquire() as connection:
        (parked,) = await store.parked(connection)
        assert (str(parked.ticket), parked.reason) == (ticket(0), "refused")
    assert len(server.heard) == 20


async def test_parked_alerts_can_be_sent_again(inbox: Inbox, server: Server) -> None:
    server.script = [answer(410)]
    deliverer = inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await until_metric("hub_alerts_parked", 1)
    assert (await inbox.until(state="parked")).reason == "gone"
    async with inbox.pool.acquire() as connection:
        assert await store.release(connection, "webhook", inbox.clock.now()) == 1
    deliverer.wake()
    await inbox.until(state="accepted")


async def test_a_retraction_closes_the_alert_after_its_opening(inbox: Inbox, server: Server) -> None:
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await inbox.until(state="accepted")
    await inbox.put(verdict("retracted", 2))
    await server.until(2)
    row = await inbox.until(resolved_at=NOW)
    assert row.state == "accepted"
    assert [heard.type for heard in server.heard] == ["sla.breached", "sla.resolved"]


async def test_a_breach_retracted_before_it_was_sent_is_told_to_nobody(inbox: Inbox, server: Server) -> None:
    await inbox.put(verdict("breached"))
    await inbox.put(verdict("retracted", 2), verdict("breached", number=2))
    inbox.deliver(webhook(server))
    await inbox.until(2, state="accepted")
    assert (await inbox.until(1, state="superseded")).because == "retracted"
    assert [heard.ticket for heard in server.heard] == [ticket(2)]


async def test_a_breach_retracted_while_the_receiver_was_down_is_told_to_nobody(inbox: Inbox, server: Server) -> None:
    port = server.port
    await server.stop()
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await inbox.until(reason="unreachable", attempts=1)
    await inbox.put(verdict("retracted", 2))
    await inbox.until(state="superseded")
    await server.start(port)
    inbox.move(3600)
    await inbox.put(verdict("breached", number=2))
    await inbox.until(2, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(2)]


async def test_where_an_attempt_may_have_arrived_both_halves_are_sent_in_order(inbox: Inbox, server: Server) -> None:
    server.script = [drop]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await inbox.until(reason="dropped")
    await inbox.put(verdict("retracted", 2))
    await inbox.until(resolved_at=NOW)
    first, again, closing = server.heard
    assert first.id == again.id
    assert (again.type, closing.type) == ("sla.breached", "sla.resolved")


async def test_a_retraction_that_comes_while_the_breach_is_being_sent(inbox: Inbox, server: Server) -> None:
    arrived, answered = asyncio.Event(), asyncio.Event()

    async def slowly(heard: Heard, request: web.Request) -> web.Response:
        arrived.set()
        await answered.wait()
        return web.Response()

    server.script = [slowly]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await arrived.wait()
    await inbox.put(verdict("retracted", 2))
    assert len(server.heard) == 1
    answered.set()
    await inbox.until(resolved_at=NOW)
    assert [heard.type for heard in server.heard] == ["sla.breached", "sla.resolved"]


async def test_time_that_jumps_while_an_alert_is_being_sent_does_not_send_it_twice(
    inbox: Inbox, server: Server
) -> None:
    answered = asyncio.Event()

    async def slowly(heard: Heard, request: web.Request) -> web.Response:
        await answered.wait()
        return web.Response()

    server.script = [slowly]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await server.until(1)
    inbox.move(3600)
    await inbox.put(verdict("breached", number=2))
    await inbox.until(2, state="accepted")
    answered.set()
    await inbox.until(1, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(1), ticket(2)]


async def test_what_was_taken_is_not_sent_once_its_lease_may_run_out(
    inbox: Inbox, server: Server, other_server: Server
) -> None:
    answered = asyncio.Event()

    async def slowly(heard: Heard, request: web.Request) -> web.Response:
        await answered.wait()
        return web.Response()

    server.then = slowly
    inbox.deliver(webhook(server))
    await inbox.put(*(verdict("breached", number=number) for number in range(100)))
    await server.until(WebhookReceiver.width)
    inbox.clock.move(15)
    inbox.deliver(webhook(other_server))
    await other_server.until(100)
    answered.set()
    for number in range(100):
        await inbox.until(number, state="accepted")
    await inbox.stop()
    assert (len(server.heard), len(other_server.heard)) == (WebhookReceiver.width, 100)


async def test_a_breach_that_ended_late_is_told_even_if_it_waited(inbox: Inbox, server: Server) -> None:
    await inbox.put(verdict("breached", ended_at=NOW), verdict("ended", 2, ended_at=NOW))
    inbox.deliver(webhook(server))
    await inbox.until(resolved_at=NOW)
    assert [heard.type for heard in server.heard] == ["sla.breached", "sla.resolved"]


async def test_several_deliverers_of_one_receiver_share_the_work(inbox: Inbox, server: Server) -> None:
    for _ in range(3):
        inbox.deliver(webhook(server))
    await inbox.put(*(verdict("breached", number=number) for number in range(600)))
    for number in range(600):
        await inbox.until(number, state="accepted")
    assert len(server.heard) == 600
    assert len({heard.id for heard in server.heard}) == 600


async def test_an_exit_on_request_gives_back_what_was_not_yet_sent(inbox: Inbox, server: Server) -> None:
    server.then = hang
    inbox.deliver(webhook(server))
    await inbox.put(*(verdict("breached", number=number) for number in range(100)))
    await server.until(WebhookReceiver.width)
    await inbox.stop()
    begun = {heard.ticket for heard in server.heard}
    server.then = accept
    inbox.deliver(webhook(server))
    await server.until(100)
    assert not begun & {heard.ticket for heard in server.heard[WebhookReceiver.width :]}
    inbox.move(15)
    await server.until(100 + WebhookReceiver.width)


async def test_a_late_failure_does_not_undo_what_another_process_delivered(
    inbox: Inbox, server: Server, other_server: Server
) -> None:
    answered = asyncio.Event()

    async def fail_slowly(heard: Heard, request: web.Request) -> web.Response:
        await answered.wait()
        return web.Response(status=500)

    server.script = [fail_slowly]
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached"))
    await server.until(1)
    inbox.clock.move(15)
    inbox.deliver(webhook(other_server))
    await inbox.until(state="accepted")
    failed = _metric("hub_alerts_failed_total", reason="failed")
    answered.set()
    await until_metric("hub_alerts_failed_total", failed + 1, reason="failed")
    assert (await inbox.until(state="accepted")).reason is None
    async with inbox.pool.acquire() as connection:
        assert await store.backlog(connection, "webhook") == store.Backlog(0, None)


async def test_a_kill_between_delivery_and_marking_sends_the_same_id_again_and_no_other(
    inbox: Inbox, server: Server
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.consumers.alerts.deliver_alone", inbox.dsn, server.url, SECRET, str(NOW), cwd=ROOT
    )

    async def kill(heard: Heard, request: web.Request) -> web.Response:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        return web.Response()

    try:
        server.script = [accept, kill]
        await inbox.put(verdict("breached"))
        await inbox.until(state="accepted")
        await inbox.put(verdict("breached", number=2))
        await server.until(2)
        assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached", number=3))
    await inbox.until(3, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(1), ticket(2), ticket(3)]
    inbox.move(15)
    await inbox.until(2, state="accepted")
    inbox.move(3600)
    await inbox.put(verdict("breached", number=4))
    await inbox.until(4, state="accepted")
    assert [heard.ticket for heard in server.heard] == [ticket(number) for number in (1, 2, 3, 2, 4)]
    assert server.heard[1].id == server.heard[3].id


async def test_alertmanager_is_told_in_arrays_and_again_every_minute(inbox: Inbox, server: Server) -> None:
    inbox.names = ("alertmanager",)
    delivered = _metric("hub_alerts_delivered_total", receiver="alertmanager")
    inbox.deliver(AlertmanagerReceiver(server.url, wall=inbox.clock))
    await inbox.put(*(verdict("breached", number=number) for number in range(250)))
    await inbox.until(249, state="accepted")
    assert [len(heard.json) for heard in server.heard] == [100, 100, 50]
    assert server.heard[0].json[0]["startsAt"] == "2026-03-05T13:59:59.999999+00:00"
    assert server.heard[0].json[0]["endsAt"] == "2026-03-12T14:00:00+00:00"
    await inbox.put(verdict("retracted", 2, 249))
    await server.until(4)
    assert server.heard[3].json[0]["endsAt"] == "2026-03-05T14:00:00+00:00"
    await inbox.until(249, resolved_at=NOW)
    inbox.move(59.9)
    await inbox.put(verdict("breached", number=300))
    await inbox.until(300, state="accepted")
    assert len(server.heard) == 5
    inbox.move(0.1)
    await server.until_true(lambda: sum(len(heard.json) for heard in server.heard[5:]) >= 249)
    renewed = {alert["labels"]["ticket"] for heard in server.heard[5:] for alert in heard.json}
    assert renewed == {ticket(number) for number in range(249)}
    await until_metric("hub_alerts_delivered_total", delivered + 252, receiver="alertmanager")


async def test_a_resolved_alert_is_not_repeated_and_an_old_one_neither(inbox: Inbox, server: Server) -> None:
    inbox.names = ("alertmanager",)
    inbox.deliver(AlertmanagerReceiver(server.url, wall=inbox.clock))
    await inbox.put(verdict("breached"), verdict("breached", number=2))
    await inbox.until(2, state="accepted")
    await inbox.put(verdict("retracted", 2))
    await inbox.until(1, resolved_at=NOW)
    inbox.move(35 * 24 * 3600)
    await server.until(3)
    assert [alert["labels"]["ticket"] for alert in server.heard[2].json] == [ticket(2)]

    async def nothing_to_come() -> bool:
        async with inbox.pool.acquire() as connection:
            return await store.backlog(connection, "alertmanager") == store.Backlog(0, None)

    await eventually(nothing_to_come)


async def test_one_bad_alert_in_an_array_does_not_take_the_others_along(inbox: Inbox, server: Server) -> None:
    async def refuse_seven(heard: Heard, request: web.Request) -> web.Response:
        bad = any(alert["labels"]["ticket"] == ticket(7) for alert in heard.json)
        return web.Response(status=400 if bad else 200)

    server.then = refuse_seven
    inbox.names = ("alertmanager",)
    inbox.deliver(AlertmanagerReceiver(server.url, wall=inbox.clock))
    await inbox.put(*(verdict("breached", number=number) for number in range(100)))
    assert (await inbox.until(7, state="parked")).reason == "refused"
    for number in set(range(100)) - {7}:
        await inbox.until(number, state="accepted")


async def test_the_delay_is_counted_from_due_to_accepted_by_the_hubs_clock(inbox: Inbox, server: Server) -> None:
    before = REGISTRY.get_sample_value("hub_alert_delay_seconds_sum") or 0.0
    delivered = _metric("hub_alerts_delivered_total")
    inbox.deliver(webhook(server))
    await inbox.put(verdict("breached", due_at=NOW - HOUR), verdict("warned", 1, 2, threshold=75))
    await until_metric("hub_alerts_delivered_total", delivered + 2)
    assert (REGISTRY.get_sample_value("hub_alert_delay_seconds_sum") or 0.0) - before == pytest.approx(3600)


async def until_metric(name: str, value: float, **labels: str) -> None:
    """Wait until a metric, which is counted after what it counts was written down, has this value."""

    async def there() -> bool:
        return _metric(name, **labels) == value

    await eventually(there)


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"receiver": "webhook"} | labels) or 0.0
