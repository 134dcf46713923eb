"""The parts of the bench that measure the product still run, with tiny numbers; what they measure is no matter here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import alerts, casework_log, crowd, growth, identity, latency, memory, pages, projector, steady
from bench.servers import Servers
from runtime.changelog import Restoring
from schemas.codec import Codec
from streams.casework import CaseworkFold

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]
AT = 1_767_600_000_000_000


@pytest.fixture
def on(kafka: str, postgres: str, tmp_path: Path) -> Servers:
    return Servers(kafka, postgres, tmp_path)


def quiet(_line: str) -> None:
    pass


async def test_events_are_decided_with_contact_points_known(on: Servers, topic_prefix: str) -> None:
    found = await identity.measure(on, topic_prefix, identity.Sizes(points=100, events=1200), quiet)
    assert (found.run.contender, found.restarts) == ("identity", 0)
    assert found.run.events <= 1200


async def test_all_that_casework_says_is_projected(on: Servers, topic_prefix: str) -> None:
    found = await projector.measure(on, topic_prefix, projector.Sizes(events=600, customers=60), quiet)
    assert (found.entries.records, found.entries.restarts) == ({"entries": 600}, 0)
    assert (found.all.records["entries"], found.all.restarts) == (600, 0)


async def test_batches_become_readable(on: Servers, topic_prefix: str) -> None:
    wanted = latency.Load(rate=20, seconds=1, warm_up=1, customers=5, batch=5)
    found = await latency.measure(on, topic_prefix, wanted, quiet)
    assert (found.readable.count, found.accepted.count, found.restarts) == (20, 4, 0)


async def test_clocks_come_due_beside_a_crowd_and_at_once(on: Servers, topic_prefix: str) -> None:
    wanted = alerts.Load(crowd=50, clocks=10, seconds=1, lead=2, burst=15)
    found = await alerts.measure(on, topic_prefix, wanted, quiet)
    assert (found.delivered.count, found.burst.count, found.missing, found.doubled) == (10, 15, 0, 0)


async def test_a_worker_takes_a_crowd_over(on: Servers, topic_prefix: str) -> None:
    found = await memory.measure(on, topic_prefix, memory.Load(few=20, many=60), quiet)
    assert [one.customers for one in found.held] == [0, 20, 60]
    assert all(one.resident > 0 for one in found.held)


async def test_pages_of_a_history_are_read(on: Servers, topic_prefix: str) -> None:
    wanted = pages.Load(entries=1000, each=100, pages=20, limit=10)
    found = await pages.measure(on, topic_prefix, wanted, quiet)
    assert (found.first.count, found.second.count) == (20, 20)


async def test_steady_work_puts_tickets_away(on: Servers, topic_prefix: str) -> None:
    wanted = steady.Load(minutes=0.1, rate=30, customers=5000, speed=1000)
    found = await steady.measure(on, topic_prefix, wanted, quiet)
    assert found.restarts == 0
    assert all(one.ended > 0 for one in found.memory.values())


async def test_each_size_of_state_costs_something(on: Servers, topic_prefix: str) -> None:
    wanted = growth.Load(small=20, middle=30, large=40, events=20, rounds=1)
    found = await growth.measure(on, topic_prefix, wanted, quiet)
    assert [(one.customers, one.events) for one in found.costs] == [(20, 20), (30, 20), (40, 20)]


def test_a_crowd_is_what_the_fold_itself_would_hold() -> None:
    """Each of the crowd goes on as the customer who was folded: the next mail joins the open ticket."""
    restoring = Restoring()
    for _, item in crowd.items("default", 1, crowd.Crowd(3, casework_log.BUNDLE, AT, apart=60_000_000, mails=3)):
        restoring.read(item.key or b"", item.value, item.headers)
    fold = CaseworkFold(Codec(), crowd.TOPICS)
    fold.restore(restoring.result())
    assert fold.size() == fold.waiting() == 3
    for name, state in list(fold.casework.customers.items()):
        (ticket,) = state.tickets
        assert [fact.ticket for fact in ticket.facts] == [ticket.id] * 3
        mail = crowd.mail(next(crowd.uuids(9)), state.last_contact + 1, "default", "email:x", "customer@example.com")
        fold.step(crowd.record(name, Codec().encode(mail), 1))
        assert len(fold.casework.customers[name].tickets) == 1


def test_memory_is_judged_by_the_second_half_and_not_by_two_looks() -> None:
    filling = [(second, 50 + second / 20) for second in range(0, 1800, 2)]
    full = [(second, 140.0 + (9 if second == 3598 else 0)) for second in range(1800, 3600, 2)]
    found = steady.judged([*filling, *full])
    assert (found.began, round(found.ended)) == (140.0, 140)
    assert len(found.minutes) == 60
    assert found.minutes[::30] == [51.5, 140.0]
    growing = steady.judged([(second, 100 + second / 360) for second in range(3600)])
    assert (growing.began, growing.ended, growing.hour) == (105.0, 110.0, 10.0)


def test_a_line_through_points() -> None:
    assert steady.slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert steady.slope([(7, 1)]) == 0
