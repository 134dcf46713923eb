"""What an event costs casework when the state is small and when it is large: the same work, with more customers held.

Each size runs in a process of its own, without Kafka: a fold takes over so many customers with an open ticket of three
mails (``crowd.py``), and then one more mail of some of them each, spread over all of them, in batches as a stage does.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
from aiokafka.structs import ConsumerRecord

from bench import crowd
from bench.casework_log import BEGIN, BUNDLE, MINUTE
from bench.crowd import Crowd
from bench.measuring import median
from bench.part import Part, Say, Table, Target, below
from bench.servers import Servers
from hub.wiring import collect_seldom
from runtime.changelog import Restoring
from schemas.codec import Codec
from streams.casework import BUNDLE as RESERVED
from streams.casework import CaseworkFold

ROOT = Path(__file__).resolve().parents[1]
_BATCH = 500
_MAILS = 3


class Load(msgspec.Struct, frozen=True):
    """``events`` at each size, no more than there are customers; ``rounds`` of which the median is told."""

    small: int = 10_000
    middle: int = 100_000
    large: int = 1_000_000
    events: int = 50_000
    rounds: int = 3


class Cost(msgspec.Struct, frozen=True):
    """µs of CPU time per event, with so many customers held."""

    customers: int
    events: int
    cpu: float


class GrowthResult(msgspec.Struct, frozen=True):
    """``costs``: the median of the rounds at each size; ``growth``: the dearest over the cheapest, in percent above."""

    load: Load
    costs: list[Cost]
    growth: float


async def measure(_on: Servers, _prefix: str, wanted: Load, say: Say) -> GrowthResult:
    """Run every size, in turn, so that a busy minute of the machine meets all of them."""
    sizes = (wanted.small, wanted.middle, wanted.large)
    runs: list[Cost] = []
    for _ in range(wanted.rounds):
        for customers in sizes:
            found = await _run(customers, min(wanted.events, customers))
            say(f"{customers:,} customers: {found.cpu:.1f} µs of CPU time per event")
            runs.append(found)
    costs = []
    for customers in sizes:
        of_size = [run for run in runs if run.customers == customers]
        costs.append(Cost(customers, of_size[0].events, round(median([run.cpu for run in of_size]), 1)))
    cpu = [cost.cpu for cost in costs]
    return GrowthResult(wanted, costs, round((max(cpu) / min(cpu) - 1) * 100, 1))


async def _run(customers: int, events: int) -> Cost:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.growth", str(customers), str(events), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"a fold of {customers} customers ended with {process.returncode}; see above")
    return msgspec.json.decode(told, type=Cost)


def _cost(customers: int, events: int) -> Cost:
    """In this process: take the customers over, fold the events, and tell what they cost."""
    collect_seldom()  # as a worker does
    fold = CaseworkFold(Codec(), crowd.TOPICS)
    restoring = Restoring()
    for _, item in crowd.items("default", 1, Crowd(customers, BUNDLE, BEGIN, mails=_MAILS)):
        restoring.read(item.key or b"", item.value, item.headers)
    restored = restoring.result()
    names = [key.decode() for key in restored.values if not key.startswith(RESERVED)]
    fold.restore(restored)
    del restoring, restored
    gc.collect()
    spent = 0.0
    for batch in _batches(Random(1).sample(names, events)):  # each made when it is its turn, as it comes from Kafka
        began = time.process_time()
        for record in batch:
            fold.step(record)
        fold.changes()
        spent += time.process_time() - began
    return Cost(customers, events, spent / events * 1e6)


def _batches(names: list[str]) -> Iterator[list[ConsumerRecord[bytes, bytes]]]:
    codec, ids = Codec(), crowd.uuids(3)
    records = []
    for number, name in enumerate(names, 1):
        event = crowd.mail(next(ids), BEGIN + MINUTE, "default", f"email:{name}", "customer@example.com")
        records.append(crowd.record(name, codec.encode(event), number))
        if len(records) == _BATCH or number == len(names):
            yield records
            records = []


def _tables(found: GrowthResult) -> list[Table]:
    rows = [(f"{one.customers:,}", f"{one.events:,}", f"{one.cpu:.1f}") for one in found.costs]
    return [Table(("casework: customers held", "events", "µs of CPU time per event"), rows)]


def _targets(found: GrowthResult) -> list[Target]:
    what = f"cost per event, {found.load.small:,} to {found.load.large:,} customers, growth"
    return [below(what, found.growth, 15, " %")]


PART = Part("growth", Load(), measure, _tables, _targets)

if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(_cost(int(sys.argv[1]), int(sys.argv[2]))).decode())
