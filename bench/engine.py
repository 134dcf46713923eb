"""The engines compared: one fold on one log by each of the line-up, in a process of its own, one after the other and in
several rounds; and the product's own casework on a log of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bench import split, toy
from bench.casework_log import Log
from bench.filling import fill
from bench.job import Job
from bench.measuring import Run, median
from bench.part import Part, Say, Table, Target, at_least
from bench.peers.line_up import (
    CASEWORK,
    HUB,
    INTERPRETED,
    LINE_UP,
    PLAIN,
    QUIX,
    QUIX_EXACTLY,
    QUIX_PROMPT,
    STOCK,
    STREAMS,
    STREAMS_EXACTLY,
    run,
)
from bench.servers import Servers, create_topics
from runtime.appending import Item
from streams.identity import partition_of

PARTITIONS = 4


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured: events in the two logs, and the customers they are of. ``only``: names, by commas."""

    rounds: int = 3
    toy: int = 300_000
    casework: int = 100_000
    customers: int = 20_000
    only: str = ""


class Figure(msgspec.Struct, frozen=True):
    """A contender's medians over the rounds. ``cores``: how many were busy. ``warm_per_cpu_second``: of the second half
    of the log, which a JVM runs compiled."""

    events: int
    per_second: float
    per_cpu_second: float
    cores: float
    warm_per_cpu_second: float


class Ratio(msgspec.Struct, frozen=True):
    """The hub's engine over a contender, each the median of the rounds."""

    per_cpu_second: float
    per_second: float
    warm_per_cpu_second: float


class EngineResult(msgspec.Struct, frozen=True):
    """``ratios``: the hub's engine over each other one that ran the toy fold. ``casework_over_stock``: the product's
    casework over the toy fold on stock Faust, events per CPU-second. ``split``: µs of CPU time per event of the
    product's casework, by what they go to. ``absent``: who could not run, and why."""

    sizes: Sizes
    figures: dict[str, Figure]
    ratios: dict[str, Ratio]
    casework_over_stock: float
    split: dict[str, float]
    absent: dict[str, str]
    runs: list[Run]


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> EngineResult:
    """Fill the two logs, and run every contender ``rounds`` times; the order turns from round to round."""
    asked = [name for name in sizes.only.split(",") if name] or list(LINE_UP)
    absent = {name: why for name in asked if (why := LINE_UP[name].absent())}
    for why in absent.values():
        say(f"left out: {why}")
    names = [name for name in asked if name not in absent]
    say(f"filling a log with {sizes.toy:,} toy events and one with {sizes.casework:,} events of casework")
    source, identified = f"{prefix}toy", f"{prefix}identified"
    await create_topics(on.kafka, [source, identified], PARTITIONS, {})
    await fill(on.kafka, source, PARTITIONS, toy_items(sizes.toy, sizes.customers))
    log = Log(sizes.casework, sizes.customers, PARTITIONS)
    await fill(on.kafka, identified, PARTITIONS, ((e.partition, Item(e.key, e.value, e.headers)) for e in log))
    runs: list[Run] = []
    for number in range(sizes.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            own = name in (CASEWORK, INTERPRETED)
            job = Job(
                name=name, kafka=on.kafka, source=identified if own else source, prefix=f"{prefix}{name}-{number}-",
                events=sizes.casework if own else sizes.toy, folder="", partitions=PARTITIONS, now=log.now,
            )  # fmt: skip
            found = await run(on, LINE_UP[name], job)
            told = f"{found.per_second:,.0f} events/s, {found.per_cpu_second:,.0f} per CPU-second"
            say(f"{LINE_UP[name].words}: {told}, {found.cores:.2f} cores busy")
            runs.append(found)
    folded = {CASEWORK, INTERPRETED}.intersection(names)
    inside = split.measure(min(sizes.casework, 40_000), min(sizes.customers, 8_000)) if folded else {}
    return _result(sizes, runs, inside, absent)


def toy_items(events: int, customers: int, partitions: int = PARTITIONS) -> Iterable[tuple[int, Item]]:
    """The log of the toy fold, each event with its partition."""
    for customer, value in toy.events(events, customers):
        yield partition_of(customer, partitions), Item(customer.encode(), value)


def _result(sizes: Sizes, runs: Sequence[Run], inside: Mapping[str, float], absent: Mapping[str, str]) -> EngineResult:
    by = {name: [run for run in runs if run.contender == name] for name in LINE_UP}
    by = {name: found for name, found in by.items() if found}
    others = [name for name in by if name not in (HUB, CASEWORK, INTERPRETED)] if HUB in by else []
    return EngineResult(
        sizes=sizes,
        figures={name: _figure(found) for name, found in by.items()},
        ratios={name: _ratio(by[HUB], by[name]) for name in others},
        casework_over_stock=_ratio(by[CASEWORK], by[STOCK]).per_cpu_second if {CASEWORK, STOCK} <= by.keys() else 0.0,
        split={name: round(value, 1) for name, value in inside.items()},
        absent=dict(absent),
        runs=list(runs),
    )


def _figure(runs: Sequence[Run]) -> Figure:
    return Figure(
        events=max(run.events for run in runs),
        per_second=round(median([run.per_second for run in runs])),
        per_cpu_second=round(median([run.per_cpu_second for run in runs])),
        cores=round(median([run.cores for run in runs]), 2),
        warm_per_cpu_second=round(median([_warm(run).per_cpu_second for run in runs])),
    )


def _ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> Ratio:
    pairs = list(zip(ours, theirs, strict=True))
    return Ratio(
        per_cpu_second=round(median([a.per_cpu_second / b.per_cpu_second for a, b in pairs]), 2),
        per_second=round(median([a.per_second / b.per_second for a, b in pairs]), 2),
        warm_per_cpu_second=round(median([_warm(a).per_cpu_second / _warm(b).per_cpu_second for a, b in pairs]), 2),
    )


def _warm(run: Run) -> Run:
    return run.after_lap() or run


def _tables(found: EngineResult) -> list[Table]:
    rows = []
    for name, figure in found.figures.items():
        ratio = found.ratios.get(name)
        rows.append(
            (
                LINE_UP[name].words,
                f"{figure.events:,}",
                f"{figure.per_second:,.0f}",
                f"{figure.cores:.2f}",
                f"{figure.per_cpu_second:,.0f}",
                f"{figure.warm_per_cpu_second:,.0f}",
                f"{ratio.per_cpu_second:.2f}" if ratio else "",
                f"{ratio.warm_per_cpu_second:.2f}" if ratio else "",
                f"{ratio.per_second:.2f}" if ratio else "",
            )
        )
    below = [f"{LINE_UP[name].words} did not run: {why}." for name, why in found.absent.items()]
    if found.split:
        parts = ", ".join(f"{name} {value:g}" for name, value in found.split.items())
        below.append(f"µs of CPU time per event in the product's casework, without Kafka: {parts}.")
    columns = ("one process", "events", "per s", "cores", "per CPU-s", "second half", "hub: x", "second half", "per s")
    return [Table(columns, rows, below)]


#: How many times a contender's events per CPU-second the hub's engine should do.
_WANTED = {STOCK: 9.0, QUIX_PROMPT: 1.7, QUIX_EXACTLY: 1.7, QUIX: 1.7, STREAMS_EXACTLY: 1.5, PLAIN: 0.85}
_SELDOM = "it commits seldom: a customer's state is written once in that time, by the hub with every batch"
_WHY = {
    QUIX_EXACTLY: _SELDOM,
    QUIX: _SELDOM,
    STREAMS: _SELDOM,
    PLAIN: "the plain loop keeps no position, takes part in no group, and writes outputs and state at the same time",
}


def _targets(found: EngineResult) -> list[Target]:
    targets = [
        at_least(
            f"hub's engine over {LINE_UP[name].words}, per CPU-second",
            found.ratios[name].per_cpu_second, wanted, " x", _WHY.get(name, ""),
        )
        for name, wanted in _WANTED.items()
        if name in found.ratios
    ]  # fmt: skip
    targets += [
        at_least(
            f"hub's engine over {LINE_UP[name].words}, per busy core and second",
            _per_core(found, name),
            1,
            " x",
            _WHY.get(name, ""),
        )
        for name in (STREAMS_EXACTLY, STREAMS)
        if name in found.ratios
    ]
    if CASEWORK in found.figures:
        targets.append(at_least("casework, events per CPU-second", found.figures[CASEWORK].per_cpu_second, 10_000))
    if found.casework_over_stock:
        targets.append(at_least("casework over the toy on stock Faust", found.casework_over_stock, 4, " x"))
    return targets


def _per_core(found: EngineResult, name: str) -> float:
    """Wall-clock rates, each divided by the cores that were busy, but by at least one: what waits has it for itself."""
    ours, theirs = found.figures[HUB], found.figures[name]
    return (ours.per_second / max(ours.cores, 1)) / (theirs.per_second / max(theirs.cores, 1))


PART = Part("engine", Sizes(), measure, _tables, _targets)
