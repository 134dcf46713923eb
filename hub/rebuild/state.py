"""The changelog of one partition written anew: its states, tombstones for keys that are no more, the position last.

In this order, and after the outputs are durable, a rebuild that ends in the middle leaves a changelog that a worker can
go on from: what was written is either older than the position and right, or ahead of it, which waits for the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from aiokafka import AIOKafkaProducer

from hub.verify.fingerprint import fingerprint
from hub.verify.log import Refused
from runtime.appending import ForeignWrite, Item, append
from runtime.changelog import Position, Restored, entry, position_entry
from streams.casework import BUNDLE

_SLICE = 5000


class State:
    """The state of a partition as its log is folded; ``values`` by key."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self._bundles: dict[bytes, int] = {}

    def take(self, changes: Sequence[tuple[bytes, int, bytes | None]]) -> None:
        """What a fold changed."""
        for key, applied, value in changes:
            if key.startswith(BUNDLE):
                self._bundles[key] = applied
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value

    def records(self, before: Restored, position: Position) -> Iterable[Item]:
        """What has to be appended to a changelog that says ``before``.

        A customer's state includes everything below the position, and says so: it counts for more than whatever stands
        there. A bundle stays as of its own record: one that is ahead of the position is not known to whoever restores,
        and tickets are judged by it.
        """
        applied = max(position.next - 1, 0)
        held = before.values.keys() | before.ahead.keys() | {each.key for each in before.overwritten if each.key}
        for key in sorted(held - self.values.keys()):
            yield entry(key, applied, None)
        for key, value in self.values.items():
            yield entry(key, self._bundles.get(key, applied), value)
        yield position_entry(position)

    def mark(self) -> int:
        """One number for all of it, whatever the order."""
        return _mark(self.values.items())


def mark_of(restored: Restored) -> int:
    """The same number for what a changelog says; keys ahead of the position make it another one."""
    ahead = ((key, value or b"") for key, (_, value) in restored.ahead.items())
    return _mark((key, value) for key, (_, value) in restored.values.items()) ^ _mark(ahead) << 1


def _mark(items: Iterable[tuple[bytes, bytes]]) -> int:
    found = 0
    for key, value in items:
        found ^= fingerprint(key, value)
    return found


async def write(producer: AIOKafkaProducer, topic: str, partition: int, items: Iterable[Item], end: int) -> int:
    """Append to a changelog that ends at ``end``. Returns how many; raises ``Refused`` when somebody else writes."""
    written, following, rest = 0, end, iter(items)
    while chunk := list(islice(rest, _SLICE)):
        try:
            following = await append(producer, topic, partition, chunk, following) or following
        except ForeignWrite as error:
            raise Refused(
                f"a casework worker writes to {topic}/{partition} at the same time ({error}): stop all of them, and"
                " rebuild again"
            ) from error
        written += len(chunk)
    return written
