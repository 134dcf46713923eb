"""Where the time of the product's casework goes inside the fold, without Kafka: each part timed by hand.

The shares are of wall-clock time while one thread works; they are told as µs of CPU time per event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, ParamSpec, TypeVar, cast

from aiokafka.structs import ConsumerRecord

from bench.casework_log import Entry, Log
from domain.casework import Casework
from schemas.codec import Codec
from streams.casework import CaseworkFold, CaseworkTopics

P = ParamSpec("P")
R = TypeVar("R")
PARTITIONS = 4
BATCH = 500
TOPICS = CaseworkTopics("identified", "entries", "tickets", "verdicts", "dlq", "changelog")


class _Timer:
    """Adds up the time of the calls it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[P, R]) -> Callable[P, R]:
        """``call``, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


class _Watched:
    """Casework whose work is timed; beside it, since nothing can be put in the place of what is compiled."""

    def __init__(self, casework: Casework, timer: _Timer) -> None:
        self._casework = casework
        self.received = timer.around(casework.received)
        self.advance = timer.around(casework.advance)

    def __getattr__(self, name: str) -> object:
        return getattr(self._casework, name)


class _Timed(NamedTuple):
    decode: _Timer
    judge: _Timer
    encode: _Timer
    state: _Timer


def measure(events: int, customers: int) -> dict[str, float]:
    """µs of CPU time per event for decode, judge, encode (the outputs), state (the changelog's values) and the rest."""
    log = list(Log(events, customers, PARTITIONS))
    _, untimed = _fold(log, None)
    timed = _Timed(_Timer(), _Timer(), _Timer(), _Timer())
    whole, _ = _fold(log, timed)
    each = untimed / events * 1e6
    shares = {name: timer.seconds / whole for name, timer in timed._asdict().items()}
    return {name: share * each for name, share in shares.items()} | {"other": (1 - sum(shares.values())) * each}


def _fold(log: Iterable[Entry], timed: _Timed | None) -> tuple[float, float]:
    """Fold the log in batches as a stage does; seconds of wall-clock and of CPU time."""
    records: list[list[ConsumerRecord[bytes, bytes]]] = [[] for _ in range(PARTITIONS)]
    for entry in log:
        here = records[entry.partition]
        here.append(as_record(entry, len(here)))
    folds = [_new_fold(timed) for _ in range(PARTITIONS)]
    wall, cpu = time.perf_counter(), time.process_time()
    for fold, here in zip(folds, records, strict=True):
        for begin in range(0, len(here), BATCH):
            for record in here[begin : begin + BATCH]:
                fold.step(record)
            fold.changes()
    return time.perf_counter() - wall, time.process_time() - cpu


def _new_fold(timed: _Timed | None) -> CaseworkFold:
    codec = Codec()
    fold = CaseworkFold(codec, TOPICS)
    if timed is not None:
        for owner, name, timer in (
            (codec, "decode", timed.decode),
            (codec, "encode", timed.encode),
            (fold, "changes", timed.state),
        ):
            setattr(owner, name, timer.around(getattr(owner, name)))
        fold.casework = cast("Casework", _Watched(fold.casework, timed.judge))
    return fold


def as_record(entry: Entry, offset: int) -> ConsumerRecord[bytes, bytes]:
    """An entry of the log as a stage is handed it."""
    return ConsumerRecord(
        topic=TOPICS.identified, partition=entry.partition, offset=offset, timestamp=0, timestamp_type=0,
        key=entry.key, value=entry.value, checksum=None, serialized_key_size=-1, serialized_value_size=len(entry.value),
        headers=tuple(entry.headers),
    )  # fmt: skip
