"""What every part of the bench has: sizes, a measurement, a table of it, and targets that were met or missed.

A module of the bench makes one ``Part`` and ``bench/parts.py`` lists it; the command line, the JSON file and the tables
come from that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from bench.servers import Servers

Say = Callable[[str], None]
L = TypeVar("L", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class Target(msgspec.Struct, frozen=True):
    """A figure that was promised, as people read it. ``why``: what a missed one is due to, where that is known."""

    what: str
    wanted: str
    found: str
    met: bool
    why: str = ""


class Table(msgspec.Struct, frozen=True):
    """Rows of cells under columns, and the sentences below them."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    below: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Part(Generic[L, R]):
    """One part of the bench.

    ``load``: its sizes, each of which the command line can set (``--set NAME.FIELD=VALUE``). ``measure`` gets the
    servers, a prefix for topics that no other run has, the sizes, and a way to tell how far it is; its result goes into
    the JSON file as it is. ``tables`` and ``targets`` are made from the result alone.
    """

    name: str
    load: L
    measure: Callable[[Servers, str, L, Say], Awaitable[R]]
    tables: Callable[[R], Sequence[Table]]
    targets: Callable[[R], Sequence[Target]]

    async def run(self, on: Servers, prefix: str, sets: dict[str, str], say: Say) -> Done:
        """Measure with the sizes that are set, and judge the result."""
        load = msgspec.convert(msgspec.to_builtins(self.load) | sets, type(self.load), strict=False)
        result = await self.measure(on, f"{prefix}{self.name}-", load, say)
        return Done(load, result, tuple(self.targets(result)), tuple(self.tables(result)))


@dataclass(frozen=True, slots=True)
class Done:
    """A part that was measured."""

    load: msgspec.Struct
    result: msgspec.Struct
    targets: tuple[Target, ...]
    tables: tuple[Table, ...]


def at_least(what: str, found: float, wanted: float, unit: str = "", why: str = "") -> Target:
    """A figure that should not be below ``wanted``. ``why`` is kept where it is."""
    met = found >= wanted
    return Target(what, f"≥ {_number(wanted)}{unit}", f"{_number(found)}{unit}", met, "" if met else why)


def below(what: str, found: float, wanted: float, unit: str = "", why: str = "") -> Target:
    """A figure that should be below ``wanted``. ``why`` is kept where it is not."""
    met = found < wanted
    return Target(what, f"< {_number(wanted)}{unit}", f"{_number(found)}{unit}", met, "" if met else why)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2):g}"
