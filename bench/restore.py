"""How fast a stage takes its state over from the changelog, and what a key costs: reading, decoding, planning.

The changelog holds every customer once, as after compaction: of the toy fold, and of casework with states that a log of
mails, chats and calls has left, repeated under other keys until there are enough.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterable

import msgspec

from bench import toy
from bench.casework_log import Log
from bench.contenders import ToyFold
from bench.filling import fill
from bench.part import Part, Say, Table, Target, at_least
from bench.servers import Servers, create_topics
from bench.split import TOPICS, as_record
from hub.wiring import collect_seldom
from runtime.appending import Item
from runtime.changelog import Position, entry, position_entry, restore
from runtime.stage import Fold
from schemas.codec import Codec
from streams.casework import BUNDLE, CaseworkFold

PARTITIONS = 4
_AFTER = 1 << 40


class Sizes(msgspec.Struct, frozen=True):
    """``keys`` in each changelog, of 4 partitions; ``distinct``: customers in the log that makes casework's states."""

    keys: int = 200_000
    distinct: int = 10_000
    events_each: int = 5


class Restore(msgspec.Struct, frozen=True):
    """µs of wall-clock and of CPU time per key: ``read`` from Kafka into bytes, ``take`` into the fold's own state."""

    keys: int
    bytes_each: float
    read: float
    read_cpu: float
    take: float
    take_cpu: float

    @property
    def per_second(self) -> float:
        """Keys per second of wall-clock time, one partition after the other in one process."""
        return 1e6 / (self.read + self.take)


class RestoreResult(msgspec.Struct, frozen=True):
    """By fold."""

    folds: dict[str, Restore]


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> RestoreResult:
    """Write the two changelogs, and take each over as a stage does, one partition after the other."""
    codec = Codec()
    found = {}
    thresholds = gc.get_threshold()
    collect_seldom()  # as a worker does
    for name, states, new_fold in (
        ("toy", _toy_states(sizes), lambda: ToyFold("entries")),
        ("casework", _casework_states(sizes), lambda: CaseworkFold(codec, TOPICS)),
    ):
        topic = f"{prefix}{name}-changelog"
        await create_topics(on.kafka, [topic], PARTITIONS, {"cleanup.policy": "compact"})
        await fill(on.kafka, topic, PARTITIONS, states)
        found[name] = one = await _restored(on, topic, new_fold)
        say(
            f"{name}: {one.per_second:,.0f} keys/s; a key of {one.bytes_each:.0f} bytes takes {one.read:.1f} µs to read"
        )
    gc.set_threshold(*thresholds)
    return RestoreResult(found)


async def _restored(on: Servers, topic: str, new_fold: Callable[[], Fold]) -> Restore:
    keys = size = 0
    read, take = [0.0, 0.0], [0.0, 0.0]
    for partition in range(PARTITIONS):
        at = _now()
        restored = await restore(on.kafka, topic, partition)
        at = _add(read, at)
        fold = new_fold()
        fold.restore(restored)
        _add(take, at)
        keys += len(restored.values)
        size += sum(len(value) for _, value in restored.values.values())
    each = [value / keys * 1e6 for value in (*read, *take)]
    return Restore(keys, round(size / keys, 1), *(round(value, 2) for value in each))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _add(to: list[float], since: tuple[float, float]) -> tuple[float, float]:
    now = _now()
    to[0] += now[0] - since[0]
    to[1] += now[1] - since[1]
    return now


def _toy_states(sizes: Sizes) -> Iterable[tuple[int, Item]]:
    states: dict[str, toy.Customer] = {}
    for customer, value in toy.events(sizes.distinct * sizes.events_each, sizes.distinct):
        toy.fold(states.setdefault(customer, toy.Customer()), toy.read(value))
    return _spread(sizes.keys, [toy.state_bytes(state) for state in states.values()], Position(_AFTER))


def _casework_states(sizes: Sizes) -> Iterable[tuple[int, Item]]:
    fold = CaseworkFold(Codec(), TOPICS)
    for offset, one in enumerate(Log(sizes.distinct * sizes.events_each, sizes.distinct, 1)):
        fold.step(as_record(one, offset))
    states = [(key, value) for key, _, value in fold.changes() if value is not None]
    for partition in range(PARTITIONS):
        for key, value in states:
            if key.startswith(BUNDLE):
                yield partition, entry(key, 0, value)
    customers = [value for key, value in states if not key.startswith(BUNDLE)]
    yield from _spread(sizes.keys, customers, Position(_AFTER, {}, fold.mark()))


def _spread(keys: int, values: list[bytes], position: Position) -> Iterable[tuple[int, Item]]:
    """As many keys, dealt in turn; then each partition's position, behind which all of them lie."""
    for number, value in zip(range(keys), itertools.cycle(values), strict=False):
        yield number % PARTITIONS, entry(f"customer-{number:08d}-0000-4000-8000".encode(), number, value)
    for partition in range(PARTITIONS):
        yield partition, position_entry(position)


def _tables(found: RestoreResult) -> list[Table]:
    rows = [
        (
            name,
            f"{one.keys:,}",
            f"{one.bytes_each:,.0f}",
            f"{one.per_second:,.0f}",
            f"{one.read:.1f} ({one.read_cpu:.1f})",
            f"{one.take:.1f} ({one.take_cpu:.1f})",
        )
        for name, one in found.folds.items()
    ]
    return [Table(("restore", "keys", "bytes", "keys per s", "read, µs (CPU)", "decode and plan, µs (CPU)"), rows)]


def _targets(found: RestoreResult) -> list[Target]:
    return [
        at_least(f"restore of {name}, keys per second", one.per_second, 100_000) for name, one in found.folds.items()
    ]


PART = Part("restore", Sizes(), measure, _tables, _targets)
