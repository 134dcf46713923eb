"""One, two and four workers of a stage on this machine, and how long a partition stands still when it moves.

The workers run the hub's engine with the toy fold. For the rates they all begin at once with partitions dealt evenly;
for the moves events come at a steady rate while a worker leaves, joins, and is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Sequence
from tempfile import TemporaryDirectory

import msgspec

from bench import toy
from bench.crew import Crew, Step, crew
from bench.engine import toy_items
from bench.filling import fill
from bench.job import Job
from bench.measuring import Run
from bench.part import Part, Say, Table
from bench.peers.line_up import WRITTEN
from bench.servers import Servers, create_topics
from bench.telling import HELD
from runtime.appending import Item, append, new_producer
from streams.identity import partition_of

_EACH = 0.02
_SETTLED = 3.0


class Sizes(msgspec.Struct, frozen=True):
    """``events`` in the log that each crew works through; ``rate``: events a second while partitions move.

    ``crews``: numbers of workers; ``moves``: what happens to one of two workers, one after the other.
    """

    events: int = 300_000
    customers: int = 20_000
    partitions: int = 4
    rate: int = 2000
    crews: str = "1,2,4"
    moves: str = "leave,join,kill"


class Move(msgspec.Struct, frozen=True):
    """Seconds, of the moved partition that took longest. ``noticed``: from the signal or the start of the process until
    its new owner was through with a first batch; ``pause``: between the last batch of its old owner and that one.
    ``others``: the longest pause of a partition that stayed where it was."""

    moved: int
    noticed: float
    pause: float
    others: float


class ScalingResult(msgspec.Struct, frozen=True):
    """``workers``: by their number, all together. ``moves``: leave (SIGTERM), join (a new process), kill (SIGKILL).

    ``restarts``: of workers that ended unasked while partitions moved.
    """

    workers: dict[int, Run]
    moves: dict[str, Move]
    restarts: int


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> ScalingResult:
    """Fill a log, let the crews work through it, and then move partitions."""
    source = f"{prefix}toy"
    await create_topics(on.kafka, [source], sizes.partitions, {})
    say(f"filling a log with {sizes.events:,} toy events")
    await fill(on.kafka, source, sizes.partitions, toy_items(sizes.events, sizes.customers, sizes.partitions))
    workers = {}
    for number in map(int, sizes.crews.split(",")):
        workers[number] = found = await _rate(on, f"{prefix}{number}-", source, sizes, number)
        say(f"{number} workers: {found.per_second:,.0f} events/s, {found.per_cpu_second:,.0f} per CPU-second")
    moves, restarts = await _moves(on, f"{prefix}moves-", sizes, say)
    return ScalingResult(workers, moves, restarts)


async def _rate(on: Servers, prefix: str, source: str, sizes: Sizes, workers: int) -> Run:
    await create_topics(on.kafka, [prefix + name for name in WRITTEN], sizes.partitions, {})
    with TemporaryDirectory(dir=on.folder) as folder:
        job = Job(
            name=HELD, kafka=on.kafka, source=source, prefix=prefix, events=sizes.events, folder=folder,
            partitions=sizes.partitions,
        )  # fmt: skip
        async with crew(job, on.folder) as members:
            for _ in range(workers):
                await members.join()
            await members.until("the partitions' even deal", lambda: _even(members, workers, sizes.partitions))
            cpu, began = members.cpu_seconds(), time.monotonic()
            for number in range(workers):
                members.signal(number, signal.SIGUSR1)
            await members.until("the log's end", lambda: sum(members.ends().values()) >= sizes.events, 600)
            took = max(step.at for step in members.steps) - began
            return Run(f"{workers}-workers", sizes.events, took, members.cpu_seconds() - cpu)


def _even(members: Crew, workers: int, partitions: int) -> bool:
    owners = members.owners()
    each = [list(owners.values()).count(number) for number in range(workers)]
    return len(owners) == partitions and max(each) - min(each) <= (partitions % workers > 0)


async def _moves(on: Servers, prefix: str, sizes: Sizes, say: Say) -> tuple[dict[str, Move], int]:
    source, found = f"{prefix}toy", {}
    await create_topics(on.kafka, [source, *(prefix + name for name in WRITTEN)], sizes.partitions, {})
    with TemporaryDirectory(dir=on.folder) as folder:
        job = Job(
            name="moving", kafka=on.kafka, source=source, prefix=prefix, events=0, folder=folder,
            partitions=sizes.partitions,
        )  # fmt: skip
        async with crew(job, on.folder) as members, _sending(on, source, sizes):
            first, second = await members.join(), await members.join()
            await _settled(members, {first, second}, sizes.partitions)
            for name in sizes.moves.split(","):
                alive = {first, second}
                before, began = members.owners(), time.monotonic()
                if name == "join":
                    second = await members.join()
                    alive = {first, second}
                else:
                    members.signal(second, signal.SIGTERM if name == "leave" else signal.SIGKILL)
                    alive = {first}
                await _settled(members, alive, sizes.partitions)
                found[name] = move = _judged(members.steps, before, members.owners(), began)
                say(f"{name}: {move.moved} partitions moved, processed again after {move.noticed:.2f} s")
            return found, members.restarts


async def _settled(members: Crew, alive: set[int], partitions: int) -> None:
    """Wait until every one of these, and nobody else, works, and a little longer."""
    await members.until(f"work by {len(alive)} workers", lambda: set(_working(members, partitions)) == alive)
    await asyncio.sleep(_SETTLED)
    await members.until("work in every partition", lambda: set(_working(members, partitions)) == alive)


def _working(members: Crew, partitions: int) -> Sequence[int]:
    owners = members.owners()
    return list(owners.values()) if len(owners) == partitions else []


def _judged(steps: Sequence[Step], before: dict[int, int], after: dict[int, int], began: float) -> Move:
    """From the steps: a partition's first batch after it was restored is a step that is further than its old owner."""
    moved = [partition for partition in before if after[partition] != before[partition]]
    noticed, pauses, others = [], [], [0.0]
    for partition in before:
        own = [step for step in steps if step.partition == partition]
        if partition not in moved:
            late = [step.at for step in own if step.at > began - 1]
            others.extend(b - a for a, b in itertools.pairwise(late))
            continue
        last = max((step for step in own if step.member == before[partition]), key=lambda step: step.at)
        new = next(
            step for step in own if step.member == after[partition] and step.next > last.next and step.at > began
        )
        noticed.append(new.at - began)
        pauses.append(new.at - last.at)
    return Move(len(moved), round(max(noticed), 2), round(max(pauses), 2), round(max(others), 2))


@contextlib.asynccontextmanager
async def _sending(on: Servers, source: str, sizes: Sizes) -> AsyncIterator[None]:
    """Send events at the rate for as long as the block runs."""
    sending = asyncio.create_task(_send(on, source, sizes))
    try:
        yield
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _send(on: Servers, source: str, sizes: Sizes) -> None:
    producer = new_producer(on.kafka)
    await producer.start()
    events, began, sent = toy.events(10_000_000, sizes.customers), time.monotonic(), 0
    try:
        while True:
            await asyncio.sleep(_EACH)
            waiting: list[list[Item]] = [[] for _ in range(sizes.partitions)]
            for _ in range(int((time.monotonic() - began) * sizes.rate) - sent):
                customer, value = next(events)
                waiting[partition_of(customer, sizes.partitions)].append(Item(customer.encode(), value))
                sent += 1
            for partition, items in enumerate(waiting):
                await append(producer, source, partition, items)
    finally:
        await producer.stop()


def _tables(found: ScalingResult) -> list[Table]:
    rows = [
        (f"{number}", f"{run.per_second:,.0f}", f"{run.cores:.2f}", f"{run.per_cpu_second:,.0f}")
        for number, run in found.workers.items()
    ]
    below = [f"Workers that ended unasked meanwhile and were started anew: {found.restarts}."]
    moves = [
        (name, f"{move.moved}", f"{move.noticed:.2f}", f"{move.pause:.2f}", f"{move.others:.2f}")
        for name, move in found.moves.items()
    ]
    return [
        Table(("workers", "events per s", "cores", "per CPU-s"), rows),
        Table(
            ("a worker's", "partitions moved", "processed again, s", "stood still, s", "others stood, s"), moves, below
        ),
    ]


PART = Part("scaling", Sizes(), measure, _tables, lambda _: ())
