"""The benchmark still runs, with tiny numbers, on the real servers; what it measures is no matter here."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench import __main__ as command
from bench import alerts, business_time, engine, latency, report, restore, scaling, split, toy
from bench.casework_log import Log
from bench.measuring import spread
from bench.part import Done, Part, Say, at_least, below
from bench.parts import PARTS
from bench.peers.hours import DELTA, DURATION
from bench.peers.hours import HUB as HOURS_HUB
from bench.peers.line_up import HUB, INTERPRETED, STOCK
from bench.servers import Servers

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def on(kafka: str, postgres: str, tmp_path: Path) -> Servers:
    return Servers(kafka, postgres, tmp_path)


def quiet(_line: str) -> None:
    pass


async def test_engines_are_compared(on: Servers, topic_prefix: str) -> None:
    only = f"{HUB},{STOCK},{INTERPRETED}"
    sizes = engine.Sizes(rounds=2, toy=800, casework=400, customers=50, only=only)
    found = await engine.measure(on, topic_prefix, sizes, quiet)
    assert list(found.figures) == [HUB, STOCK, INTERPRETED]
    assert all(figure.per_cpu_second > 0 for figure in found.figures.values())
    assert found.figures[STOCK].events == 800
    assert set(found.ratios) == {STOCK}
    assert set(found.split) == {"decode", "judge", "encode", "state", "other"}


async def test_workers_are_counted_and_partitions_move(on: Servers, topic_prefix: str) -> None:
    sizes = scaling.Sizes(events=2000, customers=50, rate=200, partitions=4, crews="2", moves="leave,join")
    found = await scaling.measure(on, topic_prefix, sizes, quiet)
    assert all(run.events == 2000 and run.seconds > 0 for run in found.workers.values())
    assert set(found.moves) == {"leave", "join"}
    assert all(move.moved >= 2 for move in found.moves.values())  # more where a slow machine has the group deal twice
    assert all(move.pause > 0 for move in found.moves.values())


async def test_a_state_is_taken_over(on: Servers, topic_prefix: str) -> None:
    found = await restore.measure(on, topic_prefix, restore.Sizes(keys=200, distinct=40), quiet)
    assert found.folds["toy"].keys == 200
    assert found.folds["casework"].keys == 200 + restore.PARTITIONS  # and the bundle in each


async def test_every_event_becomes_readable(on: Servers, topic_prefix: str, tmp_path: Path) -> None:
    wanted = latency.Load(rate=20, seconds=2, warm_up=1, customers=5)
    found = await latency.measure(on, topic_prefix, wanted, quiet)
    assert (found.readable.count, found.accepted.count, found.restarts) == (40, 40, 0)
    about = await report.about(on, "2026-01-05")
    part = latency.PART
    done = {"latency": Done(wanted, found, tuple(part.targets(found)), tuple(part.tables(found)))}
    report.write(about, done, tmp_path / "some.json")
    read = msgspec.json.decode((tmp_path / "some.json").read_bytes())["parts"]["latency"]
    assert msgspec.convert(read["result"], type(found)) == found
    assert read["targets"][0]["met"] in (True, False)
    report.show(about, done, Console(quiet=True))


async def test_calendars_are_compared_and_tickets_judged(tmp_path: Path) -> None:
    sizes = business_time.Sizes(spans="1,30", facts="3,6", pairs=3, rounds=2)
    found = await business_time.measure(Servers("", "", tmp_path), "", sizes, quiet)
    asked = {name for name in (HOURS_HUB, DELTA, DURATION) if name not in found.hours.absent}
    assert {one.contender for one in found.hours.told} == asked
    assert all(one.microseconds > 0 and one.compared == 3 and not one.differences for one in found.hours.told)
    assert set(found.judged) == {3, 6}
    part = business_time.PART
    assert [target.what for target in part.targets(found)]
    assert all(table.rows for table in part.tables(found))


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


async def test_a_part_takes_its_sizes_from_the_command_line() -> None:
    assert list(PARTS) == [part.name for part in PARTS.values()]

    async def measure(_on: Servers, prefix: str, load: latency.Load, _say: Say) -> latency.Load:
        return load if prefix == "some-latency-" else latency.Load()

    part = Part("latency", latency.Load(), measure, lambda _: (), lambda _: ())
    done = await part.run(Servers("", "", Path()), "some-", {"rate": "7"}, quiet)
    assert done.result == latency.Load(rate=7)


async def test_a_part_that_fails_takes_no_figures_of_others_with_it(
    on: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_on: Servers, _prefix: str, _load: latency.Load, _say: Say) -> latency.Load:
        raise RuntimeError("no broker")

    async def measures(_on: Servers, _prefix: str, load: latency.Load, _say: Say) -> latency.Load:
        return load

    for name, measure in {"engine": breaks, "latency": measures}.items():
        monkeypatch.setitem(PARTS, name, Part(name, latency.Load(), measure, lambda _: (), lambda _: ()))
    file = tmp_path / "some.json"
    shown = Console(record=True, quiet=True)
    _, done = await command._measure(on, ["engine", "latency"], {}, "2026-01-05", file, shown)
    assert list(done) == ["latency"]
    assert list(msgspec.json.decode(file.read_bytes())["parts"]) == ["latency"]


def test_a_target_is_met_at_its_figure_and_says_why_it_is_not() -> None:
    assert at_least("speed", 2, 2, " x", "no matter").met
    missed = at_least("speed", 1.994, 2, " x", "it is slow")
    assert (missed.met, missed.found, missed.why) == (False, "1.99 x", "it is slow")
    assert not below("delay", 500, 500).met
