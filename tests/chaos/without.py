"""Runs a command of the hub with one safeguard switched off, to see what that safeguard is for:
``python -m tests.chaos.without foreign-write worker casework``. Nothing outside this process is changed.

A safeguard is switched off by exchanging a few words in the source of the function that has it. The words must stand
there exactly once: whoever renames or rewrites a safeguard is told here, and not by a check that finds nothing.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import reduce
from types import CodeType, FunctionType
from typing import NamedTuple, cast


class ShapeChanged(Exception):
    """What is to be switched off is not what it was when this was written; read it again, and say here how it is."""


class Cut(NamedTuple):
    """``words`` in the function or the SQL statement ``where`` (``module:name.in.it``), and what stands there instead.

    A function is changed in place, so that everybody who imported it by name has the changed one.
    """

    where: str
    words: str
    instead: str


def _make(where: str, cuts: Sequence[Cut]) -> Callable[[], object]:
    """Make all cuts in one place; returns what undoes them."""
    module, path = where.split(":")
    owner = importlib.import_module(module)
    try:
        found = reduce(getattr, path.split("."), cast("object", owner))
    except AttributeError as error:
        raise ShapeChanged(f"{where} is gone: {error}") from error
    if isinstance(found, str):
        setattr(owner, path, _exchange(found, cuts))
        return lambda: setattr(owner, path, found)
    if not isinstance(found, FunctionType) or found.__closure__:
        raise ShapeChanged(f"{where} is a {type(found).__name__}, or has a closure, and can't be exchanged")
    before = found.__code__
    found.__code__ = _compiled(found, _exchange(textwrap.dedent(inspect.getsource(found)), cuts))
    return lambda: setattr(found, "__code__", before)


def _exchange(text: str, cuts: Sequence[Cut]) -> str:
    for cut in cuts:
        if text.count(cut.words) != 1:
            raise ShapeChanged(f"{cut.where} has {cut.words!r} {text.count(cut.words)} times, not once")
        text = text.replace(cut.words, cut.instead)
    return text


def _compiled(function: FunctionType, source: str) -> CodeType:
    flags = __future__.annotations.compiler_flag
    names = dict(function.__globals__)
    exec(compile(source, f"<{function.__qualname__}, changed>", "exec", flags, True), names)
    made = names[function.__name__]
    return cast("FunctionType", getattr(made, "__func__", made)).__code__


STAGE, WORKER, CHANGELOG = "runtime.stage:Stage", "runtime.worker:Worker", "runtime.changelog:Restoring"
_GENERATION = "self.app.consumer_generation_id != generation"
_NEVER = "if False:"

SAFEGUARDS: Mapping[str, tuple[Cut, ...]] = {
    "position": (
        Cut(
            f"{WORKER}.from_position",
            "return [record for record in records if record.offset >= position]",
            "return list(records)",
        ),
    ),
    "gap": (
        Cut(
            f"{WORKER}.from_position",
            "if records[0].offset > position and await self._first_from(tp, position) != records[0].offset:",
            _NEVER,
        ),
    ),
    "generation": (
        Cut(
            f"{STAGE}._process",
            f"if {_GENERATION}:\n        self._partitions.pop(tp.partition, None)",
            "if False:\n        pass",
        ),
        Cut(f"{STAGE}._held", f"if {_GENERATION}:\n        return None\n    _, probe", "_, probe"),
        Cut(f"{STAGE}._held", f"if {_GENERATION}:\n        return None\n    return await", "return await"),
        Cut("runtime.relay:Relay.process", f"if {_GENERATION}:", _NEVER),
    ),
    "outputs-awaited": (
        Cut(
            f"{STAGE}._process",
            "await asyncio.gather(*(append(producer, topic, tp.partition,",
            "_ = asyncio.gather(*(append(producer, topic, tp.partition,",
        ),
    ),
    "changelog-awaited": (
        Cut(
            f"{STAGE}._write",
            "following = await append(producer, self._changelog, partition, items, held.changelog_end)",
            "following = held.changelog_end + len(items); "
            "asyncio.ensure_future(append(producer, self._changelog, partition, items))",
        ),
    ),
    "highest-applied": (Cut(f"{CHANGELOG}.read", "elif applied >= kept[0]:", "elif True:"),),
    "ahead": (
        Cut(f"{CHANGELOG}.result", "if value is None or applied >= following}", "if value is None}"),
        Cut(f"{CHANGELOG}.result", "if self._kept[key][0] >= following}", "if False}"),
    ),
    "foreign-write": (
        Cut("runtime.appending:append", "if offset != following:", _NEVER),
        Cut(f"{STAGE}.watch", "if end > one.changelog_end and self._partitions.get(tp.partition) is one:", _NEVER),
    ),
    "overwritten": (Cut(f"{STAGE}._own", "if restored.overwritten:", _NEVER),),
    "source-position": (
        Cut(f"{STAGE}._is_new", "if (offset, ordinal) <= held.sources.get(source, (-1, -1)):", _NEVER),
    ),
    "recorded-decisions": (
        Cut(
            "projections.identity.store:IdentityStore._decide",
            "recorded = await self._recorded(connection, source, batch)",
            "recorded = {}",
        ),
        Cut(
            "projections.identity.store:_ADD_DECISIONS",
            "ON CONFLICT DO NOTHING",
            "ON CONFLICT (source, source_offset) DO UPDATE SET customer = excluded.customer,"
            " contact_point = excluded.contact_point, reason = excluded.reason",
        ),
    ),
    "event-id-ring": (
        Cut("domain.casework:Casework.received", "if state is not None and _was_folded(event.id, state):", _NEVER),
    ),
    "held-facts": (Cut("domain.casework:_was_folded", "if len(state.recent) < RECENT:", "if True:"),),
    "projector-fence": (Cut("projections.positions.store:_MOVE", "AND held.next = moved.expected", ""),),
    "ticket-version": (Cut("projections.tickets.store:_PUT", "WHERE tickets.version < excluded.version", ""),),
    "alert-inbox": (
        Cut("domain.alerts:decide", "if verdict.revision <= known.revision:", _NEVER),
        Cut(
            "domain.alerts:decide",
            "if opens is not None and any(each.key == opens for each in known.alerts):",
            _NEVER,
        ),
        Cut("projections.alerts.store:_OPEN_ALERTS", "$15::text[]\n)", "$15::text[]\n)\nON CONFLICT DO NOTHING"),
        Cut(
            "projections.alerts.store:_ADDRESS_ALERTS",
            "CROSS JOIN unnest($3::text[]) AS receiver",
            "CROSS JOIN unnest($3::text[]) AS receiver ON CONFLICT (alert, receiver) DO UPDATE SET"
            " state = 'waiting', given = 'nothing', perhaps = 'nothing', next_at = excluded.next_at",
        ),
    ),
    "watchdog": (Cut("runtime.failstop:Watchdog._watch", "while not self._over.is_set():", "while False:"),),
}


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Switch these safeguards off, and on again at the end. Raises ``ShapeChanged`` when one can't be found."""
    places: dict[str, list[Cut]] = defaultdict(list)
    for cut in (cut for name in names for cut in SAFEGUARDS[name]):
        places[cut.where].append(cut)
    with ExitStack() as undoing:
        for where, cuts in places.items():
            undoing.callback(_make(where, cuts))
        yield


def main() -> None:
    """Run ``hub`` without what the first word names; several are joined by ``+``, and ``-`` names none."""
    if len(sys.argv) < 3 or not set(names := sys.argv[1].split("+")) <= {*SAFEGUARDS, "-"}:
        sys.exit(f"usage: python -m tests.chaos.without SAFEGUARD COMMAND…\nsafeguards: {' '.join(SAFEGUARDS)}")
    del sys.argv[1]
    from hub.cli import main as hub

    with without(*(name for name in names if name != "-")):
        hub()


if __name__ == "__main__":
    main()
