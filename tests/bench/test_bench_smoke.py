"""The benchmark still runs, with tiny numbers, on the real servers; what it measures is no matter here."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench import alerts, contenders, engine, latency, report, split, toy
from bench.casework_log import Log
from bench.measuring import spread
from bench.servers import Servers

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def on(kafka: str, postgres: str, tmp_path: Path) -> Servers:
    return Servers(kafka, postgres, tmp_path)


def quiet(_line: str) -> None:
    pass


async def test_engines_are_compared(on: Servers, topic_prefix: str) -> None:
    sizes = engine.Sizes(rounds=1, toy=800, stock=100, casework=400, customers=50)
    found = await engine.measure(on, topic_prefix, sizes, quiet)
    assert set(found.figures) == set(contenders.CONTENDERS)
    assert all(figure.per_cpu_second > 0 for figure in found.figures.values())
    assert set(found.split) == {"decode", "judge", "encode", "state", "other"}


async def test_every_event_becomes_readable(on: Servers, topic_prefix: str, tmp_path: Path) -> None:
    wanted = latency.Load(rate=20, seconds=2, warm_up=1, customers=5)
    found = await latency.measure(on, topic_prefix, wanted, quiet)
    assert (found.readable.count, found.accepted.count, found.restarts) == (40, 40, 0)
    about = await report.about(on, "2026-01-05")
    report.write(report.Results(about, latency=found), tmp_path / "some.json")
    read = msgspec.json.decode((tmp_path / "some.json").read_bytes(), type=report.Results)
    assert read.latency == found
    report.show(read, Console(quiet=True))


async def test_every_clock_that_comes_due_is_alerted(on: Servers, topic_prefix: str) -> None:
    found = await alerts.measure(on, topic_prefix, alerts.Load(clocks=30, seconds=1, lead=2), quiet)
    assert (found.delivered.count, found.missing, found.doubled, found.restarts) == (30, 0, 0, 0)


def test_the_log_is_the_same_for_one_seed_and_its_commands_are_carried_out() -> None:
    one, other = list(Log(600, 60, 2)), list(Log(600, 60, 2))
    assert one == other
    assert sum(entry.counts for entry in one) == 600
    assert sum(split.measure(600, 60).values()) > 0


def test_the_toy_fold_passes_over_a_repeated_event() -> None:
    state = toy.Customer()
    event = toy.read(next(toy.events(1, 1))[1])
    assert toy.fold(state, event) is not None
    assert toy.fold(state, event) is None


def test_the_spread_of_a_hundred_durations() -> None:
    found = spread([number / 1000 for number in range(1, 101)])
    assert (found.count, found.p50, found.p99, found.longest) == (100, 50.0, 99.0, 100.0)
