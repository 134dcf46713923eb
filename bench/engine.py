"""The casework stage's speed: the hub's engine, stock Faust and a plain loop with one toy fold on one log, and the
product's own casework on a log of its own. Each in one process, one after the other, in several rounds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer

from bench import split, toy
from bench.casework_log import Log
from bench.contenders import CONTENDERS, Job
from bench.measuring import Run, median
from bench.servers import Servers, create_topics
from runtime.appending import Item, append, new_producer
from streams.identity import partition_of

ROOT = Path(__file__).resolve().parents[1]
PARTITIONS = 4
FILL = 2000
_LONGEST = 300.0
Say = Callable[[str], None]


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured. ``stock``: events for stock Faust, which is given fewer since it is slow."""

    rounds: int = 3
    toy: int = 300_000
    stock: int = 30_000
    casework: int = 100_000
    customers: int = 20_000


class Figure(msgspec.Struct, frozen=True):
    """A contender's medians over the rounds."""

    events: int
    per_second: float
    per_cpu_second: float


class EngineResult(msgspec.Struct, frozen=True):
    """``ratio``: the hub's events per second over stock Faust's, the median of the rounds; ``ratio_cpu``: of events
    per CPU-second. ``split``: µs of CPU time per event of the product's casework, by what they go to."""

    sizes: Sizes
    figures: dict[str, Figure]
    ratio: float
    ratio_cpu: float
    split: dict[str, float]
    runs: list[Run]


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> EngineResult:
    """Fill the two logs, and run every contender ``rounds`` times."""
    say(f"filling a log with {sizes.toy:,} toy events and one with {sizes.casework:,} events of casework")
    source, identified = f"{prefix}toy", f"{prefix}identified"
    await create_topics(on.kafka, [source, identified], PARTITIONS, {})
    await _fill(on.kafka, source, _toy_items(sizes))
    now = await _fill_casework(on.kafka, identified, sizes)
    runs: list[Run] = []
    for number in range(sizes.rounds):
        for contender in CONTENDERS:
            count = _count(contender, sizes)
            log = identified if contender == "casework" else source
            job = Job(kafka=on.kafka, source=log, prefix=f"{prefix}{contender}-{number}-", events=count, now=now)
            run = await _run(on, contender, job)
            say(f"{contender}: {run.per_second:,.0f} events/s, {run.per_cpu_second:,.0f} per CPU-second")
            runs.append(run)
    return _result(sizes, runs, split.measure(min(sizes.casework, 40_000), min(sizes.customers, 8_000)))


def _result(sizes: Sizes, runs: list[Run], inside: dict[str, float]) -> EngineResult:
    by = {name: [run for run in runs if run.contender == name] for name in dict.fromkeys(r.contender for r in runs)}
    figures = {
        name: Figure(
            events=max(run.events for run in found),
            per_second=round(median([run.per_second for run in found])),
            per_cpu_second=round(median([run.per_cpu_second for run in found])),
        )
        for name, found in by.items()
    }
    pairs = list(zip(by["hub"], by["stock-faust"], strict=True))
    return EngineResult(
        sizes=sizes,
        figures=figures,
        ratio=round(median([hub.per_second / stock.per_second for hub, stock in pairs]), 1),
        ratio_cpu=round(median([hub.per_cpu_second / stock.per_cpu_second for hub, stock in pairs]), 1),
        split={name: round(value, 1) for name, value in inside.items()},
        runs=runs,
    )


def _count(contender: str, sizes: Sizes) -> int:
    return {"stock-faust": sizes.stock, "casework": sizes.casework}.get(contender, sizes.toy)


def _toy_items(sizes: Sizes) -> Iterable[tuple[int, Item]]:
    for customer, value in toy.events(sizes.toy, sizes.customers):
        yield partition_of(customer, PARTITIONS), Item(customer.encode(), value)


async def _fill_casework(bootstrap: str, topic: str, sizes: Sizes) -> int:
    log = Log(sizes.casework, sizes.customers, PARTITIONS)
    await _fill(bootstrap, topic, ((e.partition, Item(e.key, e.value, e.headers)) for e in log))
    return log.now


async def _fill(bootstrap: str, topic: str, items: Iterable[tuple[int, Item]]) -> None:
    producer: AIOKafkaProducer = new_producer(bootstrap)
    await producer.start()
    waiting: list[list[Item]] = [[] for _ in range(PARTITIONS)]
    try:
        for partition, item in items:
            waiting[partition].append(item)
            if len(waiting[partition]) == FILL:
                await append(producer, topic, partition, waiting[partition])
                waiting[partition] = []
        for partition, rest in enumerate(waiting):
            await append(producer, topic, partition, rest)
    finally:
        await producer.stop()


async def _run(on: Servers, contender: str, job: Job) -> Run:
    written = ("entries", "tickets", "verdicts", "dlq", "changelog")
    await create_topics(on.kafka, [job.prefix + name for name in written], job.partitions, {})
    log = on.folder / f"{contender}.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.contenders", contender, msgspec.json.encode(job).decode(),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            told, _ = await asyncio.wait_for(process.communicate(), _LONGEST)
        except BaseException:
            process.kill()
            raise
    lines = told.splitlines()
    if process.returncode or not lines:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{contender} ended with {process.returncode} and no result; its log ends with:\n{tail}")
    return msgspec.json.decode(lines[-1], type=Run)
